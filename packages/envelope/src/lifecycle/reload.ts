import { isEnvelopeError, KeyError, LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import type { HeldKeyring } from '../keyring/held-keyring.ts'
import type { KeySource } from '../keyring/key-source.ts'
import type { Keyring } from '../keyring/keyring.ts'
import type { Runtime } from '../runtime.ts'
import type { CallOptions, SecretStore } from '../store/secret-store.ts'
import { currentKekId, kekEntry } from './keyring-document.ts'
import type { KeyringState } from './keyring-state.ts'
import { holding, kekIdsInUse } from './readiness.ts'
import { checkLocalKeks } from './self-tests.ts'

/** What a reload has changed. */
export interface ReloadResult {
  /** Ids of the KEKs that were not held before. One that is held with other bytes now is among both. */
  readonly added: readonly string[]
  /** Ids of the KEKs that are no longer held. */
  readonly removed: readonly string[]
  /** The KEK that the key source names as current now. */
  readonly wishedKekId: string
}

export interface ReloadSurroundings {
  readonly source: KeySource
  readonly keyring: HeldKeyring
  readonly store: SecretStore
  readonly state: KeyringState
  readonly runtime: Runtime
  readonly emit: EventListener
  /** Settles when the calls that run now have ended. */
  readonly inFlight: () => Promise<unknown>
  /** Lets this instance report, promote and judge its readiness by the keyring that it holds now; never fails. */
  readonly follow: (options: CallOptions) => Promise<void>
}

/** Options of the next call, with the time that is left; throws when there is none. */
type NextOptions = () => CallOptions

/** A KEK by what tells it from others. */
interface Bound {
  readonly fingerprint: string
  readonly suite: string
}

const UNCHANGED = 'The reload was refused, and the KEKs loaded before stay in use.'

/**
 * Exchanges the keyring of a running instance for what its key source gives now: as a whole, one reload after the other, and
 * never for one that could open less than the keyring document and the records ask for.
 */
export class KeyReload {
  readonly #with: ReloadSurroundings
  /** What was bound to the ids of KEKs that this instance held. Outlives a keyring document that went back in time. */
  readonly #bound = new Map<string, Bound>()
  readonly #ending = new AbortController()
  #turn: Promise<unknown> = Promise.resolve()
  #failure: string | null = null
  /** Whether a reload waits for its turn because of a change. */
  #due = false
  #again: (() => Promise<ReloadResult>) | null = null

  constructor(surroundings: ReloadSurroundings) {
    this.#with = surroundings
  }

  /** Why the last reload failed, in words; empty when it did not. */
  get notices(): readonly string[] {
    return this.#failure === null ? [] : [`The key source could not be loaded again. ${this.#failure}`]
  }

  /** Loads the key source when the reloads before have ended. */
  run(next: NextOptions): Promise<ReloadResult> {
    const turn = this.#turn.then(() => this.#run(next))
    this.#turn = turn.catch(() => null)
    return turn
  }

  /**
   * Reloads because the key source has changed. Of several that wait one is made; what failed for a passing reason, such as an
   * outage of the store, is made up at a heartbeat, since no second change will tell.
   *
   * @param reload - Makes the reload.
   */
  due(reload: () => Promise<ReloadResult>): void {
    if (this.#due) return
    this.#due = true
    reload().catch((error: unknown) => {
      if (!isEnvelopeError(error) || error.retryable) this.#again = reload
    })
  }

  onBeat(): void {
    this.#noteBound()
    const again = this.#again
    this.#again = null
    if (again !== null) this.due(again)
  }

  /** Remembers which bytes belong to the ids of the KEKs held now. */
  #noteBound(): void {
    const { keyring, state } = this.#with
    const document = state.snapshot?.document
    for (const id of keyring.ids) {
      const entry = document === undefined ? undefined : kekEntry(document, id)
      const kek = keyring.get(id)
      if (entry !== undefined && isSame(entry, kek))
        this.#bound.set(id, { fingerprint: entry.fingerprint, suite: entry.suite })
    }
  }

  /** Ends a load that is running. */
  stop(): void {
    this.#ending.abort()
  }

  async #run(next: NextOptions): Promise<ReloadResult> {
    const { keyring, state, emit, inFlight, follow } = this.#with
    try {
      this.#due = false
      const former = keyring.now
      const loaded = await this.#load(next)
      checkLocalKeks(loaded)
      await this.#check(former, loaded, next)
      const left = next()
      keyring.exchange(loaded, inFlight())
      await follow(left)
      // A KEK that is gone here may have been promoted by somebody who had not yet seen this instance's new report.
      const lost = lostReasons(former, loaded, state, this.#bound)
      if (lost.length > 0) {
        keyring.exchange(former, inFlight())
        await follow(left)
        refuse(lost)
      }
      this.#failure = null
      const result = difference(former, loaded)
      emit({ type: 'reloaded', ...result })
      return result
    } catch (error) {
      const known = isEnvelopeError(error)
      // The text of an error that is not ours may hold anything.
      this.#failure = known
        ? error.message
        : 'The key source failed with an error that is not worded for operators.'
      const code = known ? error.code : 'unexpected'
      emit({ type: 'fault', during: 'reload', code, message: this.#failure })
      throw error
    }
  }

  /** A source that heeds no signal is not waited for, nor does it hold up the next reload. */
  async #load(next: NextOptions): Promise<Keyring> {
    const { signal: callers, timeoutMs = 0 } = next()
    const ending = new AbortController()
    const signals = [ending.signal, this.#ending.signal, ...(callers === undefined ? [] : [callers])]
    const signal = AbortSignal.any(signals)
    const over = Promise.withResolvers<null>()
    signal.addEventListener('abort', () => over.resolve(null))
    const timer = this.#with.runtime.timer(() => ending.abort(), timeoutMs)
    try {
      if (signal.aborted) over.resolve(null)
      const loaded = await Promise.race([this.#with.source.load({ signal }), over.promise])
      if (loaded !== null && !signal.aborted) return loaded
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      timer.cancel()
    }
    next()
    throw new LifecycleError('ERR_VAULT_CLOSED', 'The vault was closed while its key source was loaded.')
  }

  async #check(former: Keyring, loaded: Keyring, next: NextOptions): Promise<void> {
    const { state, store } = this.#with
    const snapshot = await state.refresh(next())
    this.#noteBound()
    const reasons = lostReasons(former, loaded, state, this.#bound)
    if (snapshot === null) {
      const { removed } = difference(former, loaded)
      if (reasons.length + removed.length === 0) return
      const message = `${UNCHANGED} There is no keyring document to tell which KEKs are needed: add some, but take none away.`
      throw new LifecycleError('ERR_KEYRING_STATE_LOST', message)
    }
    const current = currentKekId(snapshot.document)
    const gone = former.ids.filter(
      (id) => id !== current && loaded.get(id) === undefined && this.#bound.has(id),
    )
    const inUse = gone.length === 0 ? new Set<string>() : await kekIdsInUse(store, current, gone, next())
    for (const kekId of inUse) {
      reasons.push(goesMissing(kekId, 'secrets are still under it: keep it until a rotation has moved them'))
    }
    refuse(reasons)
  }
}

interface LostReason {
  readonly code: 'ERR_KEK_NOT_LOADED' | 'ERR_KEK_MISMATCH'
  readonly kekId: string
  readonly message: string
}

function refuse(reasons: readonly LostReason[]): void {
  const [first] = reasons
  if (first === undefined) return
  const message = [UNCHANGED, ...reasons.map((reason) => reason.message)].join(' ')
  throw new KeyError(first.code, message, { kekId: first.kekId })
}

/** What a loaded keyring would take from this instance, as far as no record has to be asked for. */
function lostReasons(
  former: Keyring,
  loaded: Keyring,
  state: KeyringState,
  noted: ReadonlyMap<string, Bound>,
): LostReason[] {
  const document = state.snapshot?.document
  const reasons: LostReason[] = []
  for (const kekId of loaded.ids) {
    const bound = noted.get(kekId) ?? (document === undefined ? undefined : kekEntry(document, kekId))
    const kek = loaded.get(kekId)
    // What is wrong already is told by readiness, and keeps nobody from mending something else.
    if (bound === undefined || isSame(bound, kek) || isSame(former.get(kekId), kek)) continue
    const message =
      `KEK "${kekId}" has other bytes than those bound to its id (fingerprint ${bound.fingerprint}). Give the id these ` +
      'back; new bytes need a new id.'
    reasons.push({ code: 'ERR_KEK_MISMATCH', kekId, message })
  }
  const current = document === undefined ? null : currentKekId(document)
  if (document === undefined || current === null || loaded.get(current) !== undefined) return reasons
  if (holding(former, document, current) === 'held') reasons.push(goesMissing(current, 'it is current'))
  return reasons
}

function goesMissing(kekId: string, why: string): LostReason {
  return { code: 'ERR_KEK_NOT_LOADED', kekId, message: `KEK "${kekId}" would go missing, and ${why}.` }
}

function difference(former: Keyring, loaded: Keyring): ReloadResult {
  const isChanged = (id: string): boolean => !isSame(former.get(id), loaded.get(id))
  return {
    added: loaded.ids.filter(isChanged),
    removed: former.ids.filter(isChanged),
    wishedKekId: loaded.wishedKekId,
  }
}

function isSame(left: Bound | undefined, right: Bound | undefined): boolean {
  return left !== undefined && left.fingerprint === right?.fingerprint && left.suite === right.suite
}
