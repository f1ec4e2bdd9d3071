import type { SecretStore } from '@talos/envelope'
import type { HookName, StoreHooks } from './store-hooks.ts'

/** One fresh, empty store. */
export interface StoreUnderTest extends StoreHooks {
  readonly store: SecretStore
  /** Opens one more client of the same data. Where there is none, races run through one client. */
  readonly another?: () => Promise<SecretStore>
  /** Called when the check is over, whether it passed or not. */
  readonly close: () => Promise<void>
}

/** Opens a fresh, empty store, which has nothing in common with any other. */
export type OpenStore = () => Promise<StoreUnderTest>

/** One store with as many clients as a race needs; the first is the one without a number. */
export interface Opened extends StoreUnderTest {
  readonly clients: readonly SecretStore[]
}

/** What a check gets. */
export interface ClauseContext {
  /** Opens a fresh, empty store; whoever runs the check closes it. */
  open(): Promise<Opened>
}

/** A method that a store may lack. */
export type OptionalMethod = 'shards'

/** One runnable check of one clause of the store contract. It fails by throwing. */
export interface StoreCheck {
  /** The clause's id in the contract, such as `CAS-1`. */
  readonly clause: string
  /** What must hold, as a sentence. */
  readonly title: string
  /** The hook, or the hooks, without which the check cannot be run. */
  readonly needs?: HookName | readonly HookName[]
  /** The optional method of the store without which the check cannot be run. */
  readonly method?: OptionalMethod
  /** Runs the check; `runStoreCheck` gives it the context and closes what it opened. */
  readonly run: (context: ClauseContext) => Promise<void>
}

/** A check with its number: the clause's id and a count, such as `CAS-1.2`. */
export interface NumberedCheck extends StoreCheck {
  readonly id: string
}

const CLIENTS = 3

/**
 * Runs one check and closes every store it opened.
 *
 * @throws AssertionError when the clause does not hold.
 * @throws TypeError when the check needs a hook or an optional method that the opened store has not.
 */
export async function runStoreCheck(check: StoreCheck, open: OpenStore): Promise<void> {
  const opened: StoreUnderTest[] = []
  try {
    await check.run({
      async open() {
        const under = await open()
        opened.push(under)
        for (const hook of hooksOf(check)) if (under[hook] === undefined) throw missingHook(hook)
        const { method } = check
        if (method !== undefined && under.store[method] === undefined) throw missingMethod(method)
        const clients = [under.store]
        while (clients.length < CLIENTS) clients.push(under.another ? await under.another() : under.store)
        return { ...under, clients }
      },
    })
  } finally {
    for (const under of opened) await under.close()
  }
}

/** The hooks without which a check cannot be run. */
export function hooksOf({ needs = [] }: Pick<StoreCheck, 'needs'>): readonly HookName[] {
  return typeof needs === 'string' ? [needs] : needs
}

function missingHook(name: HookName): TypeError {
  return new TypeError(
    `this check needs the hook ${name}: give it beside the store, or say { without: ['${name}'] } where no such thing exists`,
  )
}

function missingMethod(name: OptionalMethod): TypeError {
  return new TypeError(
    `this check needs the optional method ${name}: give it to the store, or say { without: ['${name}'] }`,
  )
}
