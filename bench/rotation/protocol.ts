/** What a process of `instance-process.ts` needs to open a vault. */
export interface InstanceSettings {
  readonly url: string
  readonly tablePrefix: string
  readonly connections: number
  /** KEKs by id, as base64url. */
  readonly keks: Readonly<Record<string, string>>
  readonly currentKekId: string
  /**
   * Who works on shards here: the vault in its own process, workers of pg-boss, or nobody, for an instance that only serves.
   */
  readonly runner: 'own' | 'pg-boss' | 'none'
}

/** What such a process is asked. */
export type Asked =
  | { readonly ask: 'open'; readonly settings: InstanceSettings }
  /** Begins a rotation, or joins the one that was begun. */
  | { readonly ask: 'rotate' }
  /** Tells how long every `get` since the last such question took. */
  | { readonly ask: 'latencies' }
  /** Tells the most memory that the process ever had. */
  | { readonly ask: 'peak' }
  | { readonly ask: 'close' }

/** A request that arrives at a service. */
export interface Arrival {
  readonly get: string
  /** When it was sent: milliseconds of the clock that all processes of a machine share. */
  readonly atMs: number
}

/** What such a process answers, or says by itself. */
export type Said =
  | { readonly answer: unknown }
  | { readonly failed: string }
  | { readonly ended: string; readonly rewrapped: number; readonly failures: number }

/** The clock that all processes of a machine share, in milliseconds. */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
