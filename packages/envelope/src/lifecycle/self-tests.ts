import { isEnvelopeError } from '../errors.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { isTested, type RemoteKek, testRemoteKek } from '../keyring/remote-kek.ts'
import type { CallOptions } from '../store/secret-store.ts'

/**
 * The self-tests of an instance's remote KEKs: made until each has passed. An outage of a key provider keeps a KEK from being
 * promoted and from being wrapped under, and nothing else: secrets under other KEKs are served meanwhile.
 */
export class SelfTests {
  readonly #keks: readonly RemoteKek[]
  readonly #ending = new AbortController()
  /** Why the last attempt failed, by KEK id. */
  readonly #failures = new Map<string, string>()
  #running: Promise<void> | null = null

  constructor(keyring: Keyring) {
    this.#keks = keyring.ids.flatMap((id): RemoteKek[] => {
      const kek = keyring.get(id)
      return kek?.suite === '0002' ? [kek] : []
    })
  }

  /** What an operator should know: which KEKs have not passed yet, and why. */
  get notices(): readonly string[] {
    return this.#untested().map(({ id }) => {
      const why = this.#failures.get(id) ?? 'It has not ended yet.'
      return `KEK "${id}" has not passed its self-test here, so nothing is wrapped under it. ${why}`
    })
  }

  /** Tests what has not passed yet; joins tests that are running. Failures are told by `notices`. */
  run({ signal, timeoutMs }: Required<Pick<CallOptions, 'timeoutMs'>> & CallOptions): Promise<void> {
    const untested = this.#untested()
    if (untested.length === 0) return Promise.resolve()
    const ending = this.#ending.signal
    const options = { signal: signal === undefined ? ending : AbortSignal.any([signal, ending]), timeoutMs }
    this.#running ??= Promise.all(untested.map((kek) => this.#test(kek, options)))
      .then(() => undefined)
      .finally(() => {
        this.#running = null
      })
    return this.#running
  }

  /** Ends tests that are running. */
  stop(): void {
    this.#ending.abort()
  }

  #untested(): readonly RemoteKek[] {
    return this.#keks.filter((kek) => !isTested(kek))
  }

  async #test(kek: RemoteKek, options: CallOptions): Promise<void> {
    try {
      await testRemoteKek(kek, options)
      this.#failures.delete(kek.id)
    } catch (error) {
      this.#failures.set(kek.id, isEnvelopeError(error) ? error.message : 'It failed unexpectedly.')
    }
  }
}
