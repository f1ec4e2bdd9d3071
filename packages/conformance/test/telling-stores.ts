import {
  type CallOptions,
  type Change,
  isEnvelopeError,
  MemoryStore,
  type SecretStore,
  StoreError,
} from '@talos/envelope'
import type { OpenStore } from '@talos/envelope-conformance'
import { RemoteStore } from './remote-store.ts'

const sealedIn = (changes: readonly Change[]) =>
  changes.flatMap((change) => (change.kind === 'create' ? [Buffer.from(change.secret.sealed)] : []))

/** Hangs the values of the statement on the error that its driver throws, where no loop over its members meets them. */
export class KeepsParameters extends MemoryStore {
  override async write(guard: number, changes: readonly Change[], options?: CallOptions) {
    try {
      return await super.write(guard, changes, options)
    } catch (error) {
      if (!isEnvelopeError(error)) throw error
      const { code, message, retryable } = error
      const cause = Object.defineProperty(new Error(message), 'parameters', { value: sealedIn(changes) })
      throw new StoreError(code, message, { retryable, cause })
    }
  }
}

/** Quotes the names that it refuses. */
export class QuotesNames extends MemoryStore {
  override async read(names: readonly string[], options?: CallOptions) {
    return super.read(names, options).catch((error: unknown) => {
      throw error instanceof TypeError ? new TypeError(`${error.message}: ${names[0]}`) : error
    })
  }
}

/** Says in Base64 what it has asked when nobody answers. */
export class TellsRequest extends RemoteStore {
  protected override call<T>(...call: Parameters<RemoteStore['call']>) {
    return super.call<T>(...call).catch((error: unknown) => {
      if (!isEnvelopeError(error)) throw error
      const cause = new Error(`unanswered: ${Buffer.from(JSON.stringify(call[1])).toString('base64url')}`)
      const { code, message, retryable } = error
      throw new StoreError(code, message, { retryable, cause })
    })
  }
}

/** A memory store whose writes can be kept waiting and whose sealed bytes can be destroyed. */
class Disturbed extends MemoryStore {
  protected destroyed = false
  #released: Promise<void> | null = null

  async hold(): Promise<() => Promise<void>> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#released = promise
    return async () => {
      this.#released = null
      resolve()
    }
  }

  async destroySealed(): Promise<void> {
    this.destroyed = true
  }

  override write: SecretStore['write'] = async (guard, changes, options) => {
    await super.write(guard, [], options)
    await this.#pass(options, () => this.late(changes))
    return super.write(guard, changes, options)
  }

  override writeDocument: SecretStore['writeDocument'] = async (key, revision, value, options) => {
    await this.#pass(options, () => this.late([]))
    return super.writeDocument(key, revision, value, options)
  }

  protected late(_changes: readonly Change[]): StoreError {
    return new StoreError('ERR_STORE_UNAVAILABLE', 'gave up', { retryable: true })
  }

  async #pass({ signal, timeoutMs = 10_000 }: CallOptions = {}, late: () => StoreError): Promise<void> {
    if (this.#released === null) return
    const { promise: ended, reject } = Promise.withResolvers<never>()
    const giveUp = () => reject(late())
    const timer = setTimeout(giveUp, timeoutMs)
    signal?.addEventListener('abort', giveUp, { once: true })
    if (signal?.aborted) giveUp()
    await Promise.race([this.#released, ended]).finally(() => clearTimeout(timer))
  }
}

/** Says in hexadecimal what it could not write in time. */
export class TellsWhatWaits extends Disturbed {
  protected override late(changes: readonly Change[]): StoreError {
    const values = sealedIn(changes).map((sealed) => sealed.toString('hex').toUpperCase())
    return new StoreError('ERR_STORE_UNAVAILABLE', `gave up: ${values.join()}`, { retryable: true })
  }
}

/** Quotes the record that it cannot read. */
export class QuotesDamage extends Disturbed {
  override async read(names: readonly string[], options?: CallOptions) {
    const secrets = await super.read(names, options)
    if (!this.destroyed) return secrets
    const [{ meta } = { meta: '' }] = secrets.filter((secret) => secret !== null)
    throw new StoreError('ERR_STORE_DAMAGED', 'no sealed bytes', { cause: { row: [{ meta }] } })
  }
}

export const openingDisturbed =
  (Store: new () => Disturbed): OpenStore =>
  async () => {
    const store = new Store()
    return {
      store,
      hold: () => store.hold(),
      destroySealed: () => store.destroySealed(),
      close: async () => {},
    }
  }
