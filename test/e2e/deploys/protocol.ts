import type { RetirementCertificate, VaultEvent, VaultStatus } from '@talos/envelope'

/** What an instance process is told once, as JSON in the variable `INSTANCE`. Its KEKs are in variables of their own. */
export interface InstanceSettings {
  readonly url: string
  readonly schema: string
  readonly slot: string
  /** The number of its first value: of one slot each is higher than those before it. */
  readonly first: number
  readonly leaseMs: number
  /** Names written by nobody but the test, and by other slots. */
  readonly others: readonly string[]
}

/** An error as a process tells it. */
export interface Fault {
  readonly code: string
  readonly kekId: string | null
  readonly message: string
}

/** A line that a process says by itself. `at` is milliseconds since 1970, for figures only. */
export type Said =
  | { readonly is: 'open'; readonly at: number }
  | { readonly is: 'putting'; readonly name: string; readonly value: string }
  | { readonly is: 'put'; readonly name: string; readonly value: string; readonly at: number }
  | { readonly is: 'read'; readonly name: string }
  | { readonly is: 'refused'; readonly during: 'put' | 'read'; readonly name: string; readonly fault: Fault }
  /** A read that brought something older than an earlier one, or the value of another name. */
  | { readonly is: 'wrong'; readonly name: string; readonly value: string | null }
  | { readonly is: 'event'; readonly event: VaultEvent; readonly at: number }
  /** A write was wrapped and has not been given to the store. */
  | { readonly is: 'held'; readonly name: string; readonly kekId: string }
  /** What became of the held write, and of its repetitions. */
  | { readonly is: 'wrote'; readonly name: string; readonly kekId: string; readonly outcome: string }
  | { readonly is: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly is: 'failed'; readonly id: number; readonly fault: Fault }

/** What a process can be asked. */
export interface Questions {
  status: { readonly given: null; readonly answer: VaultStatus }
  retirement: { readonly given: { readonly accept: boolean }; readonly answer: RetirementCertificate }
  put: { readonly given: { readonly name: string; readonly value: string }; readonly answer: null }
  /** `null` for a name without a secret, a fault for one that does not open. */
  readAll: {
    readonly given: readonly string[]
    readonly answer: Readonly<Record<string, string | Fault | null>>
  }
  rotate: {
    readonly given: null
    readonly answer: {
      readonly id: string
      readonly started: boolean
      readonly waitingFor: readonly { readonly process: string; readonly reason: string }[]
    }
  }
  rotation: {
    readonly given: string
    readonly answer: {
      readonly status: string
      readonly rewrapped: number
      readonly failed: number
      readonly waitingFor: readonly { readonly process: string }[]
    }
  }
  /** Holds the next write of its own between wrap and store. */
  hold: { readonly given: null; readonly answer: null }
  release: { readonly given: null; readonly answer: null }
  /** Ends reading and writing; answers when the last call is over. */
  quiet: { readonly given: null; readonly answer: null }
  /** Closes the vault while calls may be in flight; answers when it is closed. */
  close: { readonly given: null; readonly answer: null }
}

/** A question as a line on the standard input of a process. */
export interface Asked {
  readonly id: number
  readonly ask: keyof Questions
  readonly given: unknown
}
