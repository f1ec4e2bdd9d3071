import type { SecretStore } from '@talos/envelope'

/** What a check may need besides the store. Each is given where the store's kind has such a thing. */
export interface StoreHooks {
  /** Keeps every write waiting, as somebody else's lock does, until the function it answers is called. */
  readonly hold?: () => Promise<() => Promise<void>>
  /** Lets the store's own clock go on. */
  readonly advance?: (milliseconds: number) => void
  /** Destroys all sealed bytes behind the store's back, so that whoever touches them fails. */
  readonly destroySealed?: () => Promise<void>
  /** Does to the data what a restore from a backup does, by the procedure of the store's page. */
  readonly restore?: () => Promise<void>
  /** What can be seen of the caller's client: whether it is open and how it is set up. */
  readonly clientState?: () => unknown
}

/** One fresh, empty store. */
export interface StoreUnderTest extends StoreHooks {
  readonly store: SecretStore
  /** Opens one more client of the same data. Where there is none, races run through one client. */
  readonly another?: () => Promise<SecretStore>
  /** Closes the clients and removes the data. */
  readonly close: () => Promise<void>
}

/** Opens one fresh, empty store; the whole of what an adapter's test has to bring. */
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

/** One runnable check of one clause of the store contract. It fails by throwing. */
export interface StoreCheck {
  /** The clause's id in the contract, such as `CAS-1`. */
  readonly clause: string
  /** What must hold, as a sentence. */
  readonly title: string
  /** The hook without which the check cannot be run. */
  readonly needs?: keyof StoreHooks
  /** Runs the check. */
  readonly run: (context: ClauseContext) => Promise<void>
}

const CLIENTS = 3

/**
 * Runs one check and closes every store it opened.
 *
 * @throws AssertionError when the clause does not hold.
 */
export async function runStoreCheck(check: StoreCheck, open: OpenStore): Promise<void> {
  const opened: StoreUnderTest[] = []
  try {
    await check.run({
      async open() {
        const under = await open()
        opened.push(under)
        const clients = [under.store]
        while (clients.length < CLIENTS) clients.push(under.another ? await under.another() : under.store)
        return { ...under, clients }
      },
    })
  } finally {
    for (const under of opened) await under.close()
  }
}
