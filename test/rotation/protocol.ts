import type { Division } from './divided-store.ts'

/** Where another process finds a store. */
export type Address =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly schema: string }
  | { readonly kind: 'redis'; readonly port: number; readonly prefix: string }

/** What an instance needs to open a vault. */
export interface InstanceSettings extends Division {
  readonly address: Address
  /** KEKs by id, as base64url. */
  readonly keks: Readonly<Record<string, string>>
  readonly currentKekId: string
  readonly leaseMs: number
  /** Milliseconds that every store call takes longer, as over a network. */
  readonly delayMs?: number
}

/** What a process of `rotator-process.ts` is to do, as one line of JSON. */
export interface Task extends InstanceSettings {
  /**
   * - `rotate`: begins a rotation and works on it.
   * - `resume`: resumes a paused one.
   * - `cancel`: begins a rotation and cancels it behind its second write.
   * - `work`: opens the vault, which carries on whatever there is, until it is killed.
   */
  readonly act: 'rotate' | 'resume' | 'cancel' | 'work'
  /** The operation to resume. */
  readonly operationId: string | null
  /** Of the rotation to begin; `null` for no limit. */
  readonly ratePerSecond: number | null
  /** The store call, counted from the begin of the act, at which the process kills itself. */
  readonly death: Death | null
}

export interface Death {
  /** 1 for the first. */
  readonly call: number
  /** Before it reaches the store, or when it has taken effect and nobody has heard its answer. */
  readonly when: 'before' | 'after'
}

/** What such a process says. */
export type Said =
  | { readonly is: 'open' }
  /** It has reached the end of the operation. */
  | { readonly is: 'ended'; readonly status: string; readonly calls: number }

/** What a process of `writer-process.ts` is to do. */
export interface WriterTask extends InstanceSettings {
  readonly names: readonly string[]
  /** Updates a second, over all names. */
  readonly perSecond: number
}

/** What such a process has done when it is told to stop. */
export interface Written {
  readonly updates: number
  readonly perSecond: number
  readonly reads: number
  /** Values that were older than one that was acknowledged or read before, and calls that were refused. */
  readonly faults: readonly string[]
  /** The last number of each name that was acknowledged. */
  readonly last: Readonly<Record<string, number>>
}
