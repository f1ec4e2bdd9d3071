import {
  type EventListener,
  explicitKeys,
  type FleetRole,
  type KeySource,
  MemoryStore,
  type MemoryStoreOptions,
  openVault,
  type RotationOperation,
  type RotationRunner,
  type SecretStore,
  type SecretVault,
  StoreError,
  type VaultEvent,
} from '@talos/envelope'
import { type HeldClock, heldClock, interceptStore } from '@talos/envelope/testing'

/** Fixed bytes that pass the checks for weak keys; another number, other bytes. */
export function kekBytes(number: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (index * 7 + number * 37 + 129) % 256)
}

export const V1 = kekBytes(1)
export const V2 = kekBytes(2)
export const V3 = kekBytes(3)

export function keys(
  currentKekId: string,
  keks: Readonly<Record<string, Uint8Array>>,
  decryptOnlyKekIds: readonly string[] = [],
): KeySource {
  return explicitKeys({ currentKekId, keks, decryptOnlyKekIds })
}

export const ONLY_V1 = keys('v1', { v1: V1 })
export const BOTH_WISH_V2 = keys('v2', { v1: V1, v2: V2 })
export const BOTH_WISH_V1 = keys('v1', { v1: V1, v2: V2 })
export const ONLY_V2 = keys('v2', { v2: V2 })

export interface TestDomain {
  readonly store: MemoryStore
  readonly clock: HeldClock
  readonly events: VaultEvent[]
  open(
    keys: KeySource,
    options?: {
      process?: string
      store?: SecretStore
      onEvent?: EventListener
      fleet?: FleetRole
      rotationDueAfterMs?: number
      runner?: RotationRunner
    },
  ): Promise<SecretVault>
}

/** A keyring domain on a memory store under a clock that stands still. */
export function testDomain(options: Pick<MemoryStoreOptions, 'recordsPerShard'> = {}): TestDomain {
  const clock = heldClock()
  const { monotonicMs } = clock.runtime
  const store = new MemoryStore({ ...options, monotonicMs, level: 'strong' })
  const events: VaultEvent[] = []
  return {
    store,
    clock,
    events,
    open: (source, { process = 'test/1', onEvent, ...options } = {}) =>
      openVault({
        store,
        ...options,
        keys: source,
        namespace: 'gateway',
        runtime: { ...clock.runtime, processName: process },
        onEvent: (event) => {
          events.push(event)
          onEvent?.(event)
        },
      }),
  }
}

/** Lets the clock run in steps until an operation has ended; fails loudly when it never does. */
export async function finished(
  domain: TestDomain,
  vault: SecretVault,
  id: string,
): Promise<RotationOperation> {
  for (let step = 0; step < 400; step += 1) {
    const operation = await vault.rotations.get(id)
    if (operation !== null && operation.status !== 'running') return operation
    await domain.clock.advance(500)
  }
  throw new Error('the operation did not end within 200 s of the held clock')
}

export function unavailable(): StoreError {
  return new StoreError('ERR_STORE_UNAVAILABLE', 'The test took the store away.', { retryable: true })
}

export function outcomeUnknown(): StoreError {
  return new StoreError('ERR_STORE_OUTCOME_UNKNOWN', 'The test cut the answer.', { retryable: true })
}

/** The wrap text of a record, straight from the store. */
export async function wrapOf(store: SecretStore, name: string): Promise<string> {
  const [record] = await store.read([name])
  if (record === null || record === undefined) throw new Error('no such record')
  return record.wrap
}

/** Numbers from 0 up to 1 that are the same in every run (Lehmer's generator). */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 16_807) % 2_147_483_647
    return state / 2_147_483_647
  }
}

/** A process's way to the store that can be cut for ever, as kill -9 does: no call is answered any more. */
export function mortal(store: SecretStore): {
  readonly store: SecretStore
  readonly calls: () => number
  readonly isDead: () => boolean
  kill(): void
  /** Dies at a call: before it reaches the store, or after it took effect and before the answer arrives. */
  dieAt(call: number, when: 'before' | 'after'): void
} {
  let dead = false
  let calls = 0
  let death: { readonly call: number; readonly when: 'before' | 'after' } | null = null
  const silence = (): Promise<never> => new Promise(() => {})
  return {
    store: interceptStore(store, async ({ proceed }) => {
      if (dead) return await silence()
      calls += 1
      const dying = death?.call === calls ? death.when : null
      if (dying !== null) dead = true
      if (dying === 'before') return await silence()
      const answer = await proceed()
      return dead ? await silence() : answer
    }),
    calls: () => calls,
    isDead: () => dead,
    kill() {
      dead = true
    },
    dieAt(call, when) {
      calls = 0
      death = { call, when }
    },
  }
}
