import { randomBytes } from 'node:crypto'
import {
  type Change,
  createCodec,
  explicitKeys,
  openVault,
  type SecretStore,
  type SecretVault,
} from '@talos/envelope'
import { sampleValue } from '../codec/sample.ts'

/** The namespace of all vaults of this suite. */
export const NAMESPACE = 'bench'
/** As short as statements of a store like them. */
const FILL_BATCH = 500
/** The KEK that loops re-wrap to, beside those that become current one after the other. */
export const LOOP_KEK_ID = 'kloop'

/** Names a record of the suite; all names have the same length below 10,000,000. */
export function recordName(index: number): string {
  return `upstream-${String(index).padStart(7, '0')}/prod`
}

/** The context that a vault binds the value of a record to. */
export function recordContext(name: string): Readonly<Record<'name' | 'namespace', string>> {
  return { namespace: NAMESPACE, name }
}

/** Metadata as a vault writes it beside a value. */
export function recordMeta(rewrappedAt: string | null = null): string {
  const at = '2026-01-01T00:00:00.000Z'
  return JSON.stringify({ version: 1, context: {}, createdAt: at, updatedAt: at, rewrappedAt })
}

/** One keyring domain on a store, which is rotated again and again: each rotation goes to a KEK that was never used. */
export class Rotations {
  readonly #keks: Record<string, Uint8Array> = { [LOOP_KEK_ID]: randomBytes(32) }
  #number = 0
  #records = 0
  #vault: SecretVault | null = null
  #ended = Promise.withResolvers<number>()

  /** The KEK that is current. */
  get currentKekId(): string {
    return `k${String(this.#number).padStart(4, '0')}`
  }

  /** The KEKs by id, to make a codec of. */
  get keks(): Readonly<Record<string, Uint8Array>> {
    return this.#keks
  }

  /** The vault of the last promotion. @throws Error when there is none */
  get vault(): SecretVault {
    if (this.#vault === null) throw new Error('No vault is open.')
    return this.#vault
  }

  /** How many records there are. */
  get records(): number {
    return this.#records
  }

  /** Writes records `0`, `1` and so on of an empty store, as a vault would have written them. */
  async fill(store: SecretStore, records: number, valueBytes: number): Promise<void> {
    const { close, guard } = await this.#firstKek(store)
    const keys = explicitKeys({ keks: this.#keks, currentKekId: this.currentKekId })
    const codec = await createCodec({ keys })
    const meta = recordMeta()
    let writing = Promise.resolve()
    const write = async (changes: readonly Change[]): Promise<void> => {
      const outcomes = await store.write(guard, changes)
      if (outcomes.some((outcome) => outcome !== 'done')) throw new Error('The store was not empty.')
    }
    for (let from = 0; from < records; from += FILL_BATCH) {
      const changes: Change[] = []
      for (let index = from; index < Math.min(from + FILL_BATCH, records); index += 1) {
        const name = recordName(index)
        const envelope = await codec.wrap(sampleValue(valueBytes), recordContext(name))
        const end = envelope.lastIndexOf(':')
        const sealed = Buffer.from(envelope.slice(end + 1), 'base64url')
        changes.push({ kind: 'create', secret: { name, wrap: envelope.slice(0, end), meta, sealed } })
      }
      await writing
      writing = write(changes)
    }
    await writing
    this.#records = records
    await close()
  }

  /** Makes up the next KEK, for whoever promotes it. */
  async nextKek(): Promise<void> {
    await this.close()
    this.#addKek()
  }

  /** Promotes the next KEK, under which there is no record then. */
  async promoteNext(store: SecretStore): Promise<void> {
    await this.nextKek()
    this.#ended = Promise.withResolvers<number>()
    // Nobody may wait for it yet when it fails.
    this.#ended.promise.catch(() => {})
    this.#vault = await openVault({
      store,
      namespace: NAMESPACE,
      keys: explicitKeys({ keks: this.#keks, currentKekId: this.currentKekId }),
      onEvent: (event) => {
        if (event.type === 'fault') this.#ended.reject(new Error(`${event.code}: ${event.message}`))
        if (event.type !== 'rotation' || event.status === 'running') return
        if (event.status === 'completed') this.#ended.resolve(event.rewrapped)
        else this.#ended.reject(new Error(`The rotation ended as ${event.status}.`))
      },
    })
  }

  /**
   * Rotates as a service does, with the engine of the vault: from the call to the end of the operation.
   *
   * @throws Error when it did not re-wrap every record.
   */
  async run(): Promise<void> {
    await this.vault.rotate()
    const rewrapped = await this.#ended.promise
    if (rewrapped !== this.#records) {
      throw new Error(`The rotation re-wrapped ${rewrapped} records of ${this.#records}.`)
    }
  }

  /** Opens a vault that wishes the current KEK. */
  async openVault(store: SecretStore): Promise<SecretVault> {
    const keys = explicitKeys({ keks: this.#keks, currentKekId: this.currentKekId })
    return await openVault({ store, namespace: NAMESPACE, keys })
  }

  /** Closes the vault of the last rotation. */
  async close(): Promise<void> {
    await this.#vault?.close()
    this.#vault = null
  }

  async #firstKek(
    store: SecretStore,
  ): Promise<{ readonly guard: number; readonly close: () => Promise<void> }> {
    this.#addKek()
    const vault = await this.openVault(store)
    const keyring = await store.readDocument('keyring')
    return { guard: keyring?.revision ?? 0, close: () => vault.close() }
  }

  #addKek(): void {
    this.#number += 1
    this.#keks[this.currentKekId] = randomBytes(32)
  }
}
