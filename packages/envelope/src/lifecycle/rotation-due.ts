import type { EventListener } from '../events.ts'
import { millisecondsOf, type Runtime } from '../runtime.ts'
import { currentKekId, kekEntry } from './keyring-document.ts'
import type { KeyringState } from './keyring-state.ts'

const DAY_MS = 86_400_000

/** Tells, once a day, that the current KEK has become older than its owner wants it to be. */
export class RotationDue {
  readonly #afterMs: number
  readonly #runtime: Runtime
  readonly #emit: EventListener
  #told: { readonly kekId: string; readonly atMs: number } | null = null

  /** @param afterMs - The age from which on it is told; `Infinity` for never. */
  constructor(afterMs: number, runtime: Runtime, emit: EventListener) {
    this.#afterMs = afterMs
    this.#runtime = runtime
    this.#emit = emit
  }

  /** To be called with every heartbeat. */
  look({ snapshot }: KeyringState): void {
    if (snapshot === null) return
    const kekId = currentKekId(snapshot.document)
    const ageMs = this.#runtime.now() - millisecondsOf(kekEntry(snapshot.document, kekId)?.promotedAt ?? '')
    // An age that is no number is none.
    if (!(ageMs >= this.#afterMs)) return
    const atMs = this.#runtime.monotonicMs()
    if (this.#told?.kekId === kekId && atMs - this.#told.atMs < DAY_MS) return
    this.#told = { kekId, atMs }
    this.#emit({ type: 'rotation_due', kekId, ageMs })
  }
}
