/** With these pg-boss looks for the jobs of dead workers as often as it can. */
export const WATCHFUL = { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 } as const
