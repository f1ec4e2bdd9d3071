import {
  type DeclaredSource,
  explicitKeys,
  type FleetRole,
  generateEscrowKeyPair,
  openVault,
  type SecretStore,
  type SecretVault,
  type StoredSecret,
  sealKek,
  type VaultEvent,
} from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { kekBytes } from '../../packages/envelope/test/support/vaults.ts'

/** A store with what an operator does to it after a restore. */
export interface OperatedStore extends SecretStore {
  renewIncarnation(): Promise<string>
}

/** A store on a server, with what only its server's own tools do to it. */
export interface Place {
  readonly store: OperatedStore
  /** Deletes all documents, or the keyring document alone, with the server's own means and leaves the records. */
  loseDocuments(which?: 'keyring'): Promise<void>
}

export interface SceneVaultOptions {
  /** Other bytes for an id: those of another id, or any. */
  readonly bytes?: Readonly<Record<string, string | Uint8Array>>
  readonly declaredSources?: readonly DeclaredSource[]
  readonly fleet?: FleetRole
  readonly leaseMs?: number
}

const NAMESPACE = 'gateway'
/** Long enough for a busy machine: nobody who is stopped in a scenario loses its lease during it. */
const LEASE_MS = 120_000
const BYTES: Readonly<Record<string, Uint8Array>> = {
  v1: kekBytes(1),
  v2: kekBytes(2),
  v3: kekBytes(3),
}
const escrowKeys = generateEscrowKeyPair()

/** The bytes of a KEK of the scenes. */
export function bytesOf(kekId: string): Uint8Array {
  const bytes = BYTES[kekId]
  if (bytes === undefined) throw new Error(`the scenes have no KEK ${kekId}`)
  return Uint8Array.from(bytes)
}

function asBytes(bytes: string | Uint8Array): Uint8Array {
  return typeof bytes === 'string' ? bytesOf(bytes) : bytes
}

/** Opens what `Scene.escrow` sealed. */
export const ESCROW_PRIVATE_KEY = escrowKeys.privateKey

/** Instances of one keyring domain on one real store. */
export class Scene {
  readonly events: VaultEvent[] = []
  readonly #place: Place
  readonly #open: SecretVault[] = []
  #listeners: ((event: VaultEvent) => void)[] = []
  #started = 0

  constructor(place: Place) {
    this.#place = place
  }

  get store(): OperatedStore {
    return this.#place.store
  }

  loseDocuments(which?: 'keyring'): Promise<void> {
    return this.#place.loseDocuments(which)
  }

  /** Starts an instance. */
  async open(
    currentKekId: string,
    kekIds: readonly string[],
    options: SceneVaultOptions & { readonly store?: SecretStore } = {},
  ): Promise<SecretVault> {
    const { bytes = {}, store = this.store, declaredSources = [], fleet = 'member', leaseMs } = options
    this.#started += 1
    const vault = await openVault({
      store,
      namespace: NAMESPACE,
      keys: explicitKeys({
        currentKekId,
        keks: Object.fromEntries(kekIds.map((id) => [id, asBytes(bytes[id] ?? id)])),
      }),
      declaredSources,
      fleet,
      leaseMs: leaseMs ?? LEASE_MS,
      timeoutMs: 30_000,
      runtime: { processName: `instance/${this.#started}` },
      onEvent: (event) => {
        this.events.push(event)
        for (const listener of this.#listeners) listener(event)
      },
    })
    if (store === this.store) this.#open.push(vault)
    return vault
  }

  /** Starts an instance that is stopped, as by SIGSTOP, when it is killed or begins to scan for a rotation. */
  async freezing(
    currentKekId: string,
    kekIds: readonly string[],
    options: SceneVaultOptions = {},
  ): Promise<{ readonly vault: SecretVault; readonly atScan: Promise<void>; kill(): void }> {
    const scanned = Promise.withResolvers<void>()
    let frozen = false
    const store = interceptStore(this.store, async ({ method, args, proceed }) => {
      const [query] = args as [{ exceptKekId?: string } | undefined]
      if (method === 'scan' && query?.exceptKekId === currentKekId && !frozen) {
        frozen = true
        scanned.resolve()
      }
      return frozen ? await new Promise<never>(() => {}) : await proceed()
    })
    const vault = await this.open(currentKekId, kekIds, { ...options, store })
    return {
      vault,
      atScan: scanned.promise,
      kill: () => {
        frozen = true
      },
    }
  }

  /** One secret "a" under v1, then an instance that holds v1 and v2 and makes v2 current; v1 has an escrow. */
  async promoted(options: SceneVaultOptions & { readonly escrowed?: boolean } = {}): Promise<SecretVault> {
    const before = await this.open('v1', ['v1'])
    await before.put('a', 'x')
    await before.close()
    const vault = await this.open('v2', ['v1', 'v2'], options)
    if (options.escrowed !== false) await vault.keks.recordEscrow(await this.escrow('v1'))
    return vault
  }

  /** The same, with everything re-wrapped under v2. */
  async rotated(options: SceneVaultOptions & { readonly escrowed?: boolean } = {}): Promise<SecretVault> {
    const vault = await this.promoted(options)
    await this.rotate(vault)
    return vault
  }

  /** Rotates to the end. @throws Error when it ends otherwise than completed */
  async rotate(vault: SecretVault): Promise<void> {
    const ended = Promise.withResolvers<string>()
    const listener = (event: VaultEvent): void => {
      if (event.type === 'rotation' && event.status !== 'running') ended.resolve(event.status)
    }
    this.#listeners.push(listener)
    await vault.rotate()
    const status = await ended.promise
    this.#listeners = this.#listeners.filter((each) => each !== listener)
    if (status !== 'completed') throw new Error(`the rotation ended as ${status}`)
  }

  escrow(kekId: string): Promise<string> {
    return sealKek({ kekId, kek: bytesOf(kekId), for: { publicKey: escrowKeys.publicKey } })
  }

  /** Puts a record into the store behind every vault's back, in the place of whatever has its name. */
  async putBack(secret: StoredSecret | null | undefined): Promise<void> {
    if (secret === null || secret === undefined) throw new Error('there is no record to put back')
    const guard = (await this.store.readDocument('keyring'))?.revision ?? 0
    const [now] = await this.store.read([secret.name])
    const change =
      now === null || now === undefined
        ? ({ kind: 'create', secret } as const)
        : ({ kind: 'replace', expectedWrap: now.wrap, secret } as const)
    const [outcome] = await this.store.write(guard, [change])
    if (outcome !== 'done') throw new Error(`the record was not put back: ${outcome}`)
  }

  /** Ends the instances that were started and not frozen. */
  async close(): Promise<void> {
    for (const vault of this.#open.splice(0)) await vault.close()
  }
}
