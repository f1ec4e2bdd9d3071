import type { Change, Outcome, SecretStore } from '@talos/envelope'
import type { CuttingProxy } from './cutting-proxy.ts'

/** A write whose transaction somebody keeps open. */
export interface HeldWrite {
  /** What the backend answered inside the transaction. */
  readonly outcomes: readonly Outcome[]
  /** Ends the transaction. Answers whether it could be committed; `false` for one that the backend has turned away. */
  readonly commit: () => Promise<boolean>
}

/** A client of the same data that reaches its backend through a proxy. */
export interface ProxiedClient {
  readonly store: SecretStore
  /** Made by `openCuttingProxy`, or anything else that can count answers, and lose one with its connection. */
  readonly proxy: Pick<CuttingProxy, 'answers' | 'cutAnswer' | 'cuts'>
}

/** What a check may need besides the store. Each is given where the store's kind has such a thing. */
export interface StoreHooks {
  /** Keeps every write waiting, as somebody else's lock does, until the function it answers is called. */
  readonly hold?: () => Promise<() => Promise<void>>
  /** Makes changes in a transaction of another client and leaves it open: the store's own way to take part in one. */
  readonly holdWrite?: (guard: number, changes: readonly Change[]) => Promise<HeldWrite>
  /** Opens a client that reaches its backend through a proxy. */
  readonly proxied?: () => Promise<ProxiedClient>
  /** Makes the backend unreachable at once, for the clients there are, until the function it answers is called. */
  readonly outage?: () => Promise<() => Promise<void>>
  /** Lets the store's own clock go on. */
  readonly advance?: (milliseconds: number) => void
  /** Destroys all sealed bytes behind the store's back, so that whoever touches them fails. */
  readonly destroySealed?: () => Promise<void>
  /** Does to the data what a restore from a backup does, by the procedure of the store's page. */
  readonly restore?: () => Promise<void>
  /** What can be seen of the caller's client: whether it is open and how it is set up. */
  readonly clientState?: () => unknown
}

/** The name of a hook. */
export type HookName = keyof StoreHooks
