import type { RotationOperation, SecretVault, VaultStatus } from '@talos/envelope'
import { errorTypeOf } from './error-type.ts'

/** Clocks, as the runtime of a vault has them. */
export interface Clocks {
  now(): number
  monotonicMs(): number
}

/** What one look at a vault has found. */
export interface Look {
  readonly status: VaultStatus
  readonly newestRotation: RotationOperation | null
}

/** How long a look may take: well within the 10 s after which Prometheus gives a scrape up. */
const LOOK_TIMEOUT_MS = 5000

/** Looks at a vault when asked, and not again before some time has passed, whether or not the look failed. */
export class StatusLook {
  readonly #vault: SecretVault
  readonly #everyMs: number
  readonly #clocks: Clocks
  readonly #onFailure: (errorType: string) => void
  #last: { readonly beganMs: number; readonly look: Promise<Look | null> } | null = null
  #succeededMs: number | null = null

  constructor(vault: SecretVault, everyMs: number, clocks: Clocks, onFailure: (errorType: string) => void) {
    this.#vault = vault
    this.#everyMs = everyMs
    this.#clocks = clocks
    this.#onFailure = onFailure
  }

  /** The newest look; `null` when it failed. */
  take(): Promise<Look | null> {
    const nowMs = this.#clocks.monotonicMs()
    if (this.#last === null || nowMs - this.#last.beganMs >= this.#everyMs) {
      this.#last = { beganMs: nowMs, look: this.#look() }
    }
    return this.#last.look
  }

  /** Since the last look that did not fail; `null` before there was one. */
  get ageMs(): number | null {
    return this.#succeededMs === null ? null : this.#clocks.monotonicMs() - this.#succeededMs
  }

  async #look(): Promise<Look | null> {
    const options = { timeoutMs: LOOK_TIMEOUT_MS }
    const beganMs = this.#clocks.monotonicMs()
    try {
      const [status, [newestRotation = null]] = await Promise.all([
        this.#vault.status(options),
        this.#vault.rotations.list({ ...options, limit: 1 }),
      ])
      this.#succeededMs = beganMs
      return { status, newestRotation }
    } catch (error) {
      this.#onFailure(errorTypeOf(error))
      return null
    }
  }
}
