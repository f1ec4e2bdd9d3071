import { isEnvelopeError, KeyError } from '../errors.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import { passesSelfTest } from '../keyring/kek.ts'
import { isTested, type RemoteKek, testRemoteKek } from '../keyring/remote-kek.ts'
import type { CallOptions } from '../store/secret-store.ts'

/**
 * The self-tests of an instance's remote KEKs: made until each has passed. An outage of a key provider keeps a KEK from being
 * promoted and from being wrapped under, and nothing else: secrets under other KEKs are served meanwhile.
 */
export class SelfTests {
  readonly #keyring: KeyringReader
  readonly #ending = new AbortController()
  readonly #running = new Map<RemoteKek, Promise<void>>()
  /** Why the last attempt failed. */
  readonly #failures = new WeakMap<RemoteKek, string>()

  constructor(keyring: KeyringReader) {
    this.#keyring = keyring
  }

  /** What an operator should know: which KEKs have not passed yet, and why. */
  get notices(): readonly string[] {
    return this.#untested().map((kek) => {
      const why = this.#failures.get(kek) ?? 'It has not ended yet.'
      return `KEK "${kek.id}" has not passed its self-test here, so nothing is wrapped under it. ${why}`
    })
  }

  /** Tests what has not passed yet; joins tests that are running. Failures are told by `notices`. */
  async run({ signal, timeoutMs }: Required<Pick<CallOptions, 'timeoutMs'>> & CallOptions): Promise<void> {
    const ending = this.#ending.signal
    const options = { signal: signal === undefined ? ending : AbortSignal.any([signal, ending]), timeoutMs }
    await Promise.all(
      this.#untested().map((kek) => {
        const running = this.#running.get(kek) ?? this.#test(kek, options)
        this.#running.set(kek, running)
        return running
      }),
    )
  }

  /** Ends tests that are running. */
  stop(): void {
    this.#ending.abort()
  }

  #untested(): readonly RemoteKek[] {
    return this.#keyring.ids.flatMap((id): RemoteKek[] => {
      const kek = this.#keyring.get(id)
      return kek?.suite === '0002' && !isTested(kek) ? [kek] : []
    })
  }

  async #test(kek: RemoteKek, options: CallOptions): Promise<void> {
    try {
      await testRemoteKek(kek, options)
    } catch (error) {
      this.#failures.set(kek, isEnvelopeError(error) ? error.message : 'It failed unexpectedly.')
    } finally {
      this.#running.delete(kek)
    }
  }
}

/**
 * Makes the self-tests of local KEKs, which cost nothing.
 *
 * @throws KeyError `ERR_KEK_MISMATCH` naming the first that does not give back what it wrapped.
 */
export function checkLocalKeks(keyring: KeyringReader): void {
  for (const kekId of keyring.ids) {
    const kek = keyring.get(kekId)
    if (kek?.suite !== '0001' || passesSelfTest(kek)) continue
    const message = `KEK "${kekId}" failed its self-test on this machine. Nothing was written.`
    throw new KeyError('ERR_KEK_MISMATCH', message, { kekId })
  }
}
