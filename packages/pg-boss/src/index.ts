export type {
  PgBossInstance,
  PgBossJob,
  PgBossNewJob,
  PgBossQueue,
  PgBossQueueSettings,
} from './pg-boss.ts'
export type { PgBossRunnerOptions } from './pg-boss-runner.ts'
export { pgBossRunner } from './pg-boss-runner.ts'
