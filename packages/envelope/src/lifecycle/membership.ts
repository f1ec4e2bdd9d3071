import { isEnvelopeError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import { isTested, testRemoteKek } from '../keyring/remote-kek.ts'
import { type Runtime, type Timer, timestamp } from '../runtime.ts'
import type { CallOptions, Page, SecretHeader, SecretStore } from '../store/secret-store.ts'
import type { AuditTrail } from './audit-trail.ts'
import { type Fleet, type HeldKek, heldBy, type InstanceReport, liveReports, type Sighting } from './fleet.ts'
import { firstDocument, madeCurrent } from './keyring-changes.ts'
import { currentKekId, kekEntry } from './keyring-document.ts'
import type { KeyringSnapshot, KeyringState } from './keyring-state.ts'
import { checkPromotion, type PromotionOutlook, type PromotionVerdict, pendingWishes } from './promote.ts'
import {
  fencedAndNotHeld,
  kekIdsInUse,
  type ReadinessReason,
  readinessReasons,
  STATE_LOST_MESSAGE,
} from './readiness.ts'
import type { DeclaredSource } from './retirement/declared-source.ts'
import { SelfTests } from './self-tests.ts'

export interface MembershipOptions {
  readonly store: SecretStore
  readonly runtime: Runtime
  readonly keyring: KeyringReader
  /** Whether this instance may wrap under a KEK that it holds. */
  readonly mayWrap: (kekId: string) => boolean
  readonly state: KeyringState
  readonly fleet: Fleet
  readonly namespace: string
  readonly instanceId: string
  readonly leaseMs: number
  readonly emit: EventListener
  readonly trail: AuditTrail
  /** The sources declared at the moment. */
  readonly declared: () => readonly DeclaredSource[]
  /** Called after each heartbeat, and when a KEK was promoted. */
  readonly onBeat: () => void
}

/** A wished KEK on its way to become current. */
export interface PendingPromotion extends PromotionOutlook {
  readonly kekId: string
}

/** The fleet at one look, and what it says of promotions. */
export interface FleetSurvey {
  readonly fleet: readonly Sighting[]
  /** This instance's own wish, or else another's, so that every instance gives an operator the same answer. */
  readonly pending: PendingPromotion | null
  /**
   * What rule P says of this instance's own wish. One that came true while this instance ran is fulfilled for good: after the
   * next promotion it is an old configuration, not a wish to go back.
   */
  readonly verdict: PromotionVerdict
}

/** Heartbeats before a KEK that is missing and still in use is asked for in the store again. */
const BEATS_BETWEEN_CHECKS = 6

/**
 * This instance as a member of the fleet: it reports itself, follows the keyring document, promotes the KEK it wishes as soon
 * as rule P allows, and knows whether it is ready.
 */
export class Membership {
  readonly #with: MembershipOptions
  readonly #startedAt: string
  readonly #selfTests: SelfTests
  #timer: Timer | null = null
  #beating: Promise<void> | null = null
  #left = false
  #reasons: readonly ReadinessReason[] = []
  #inUse: ReadonlySet<string> = new Set()
  #checkedRevision = 0
  #beatsSinceCheck = 0
  /** The last wish that came true while this instance ran. */
  #fulfilledWish: string | null = null
  #told: { ready: string | null; waiting: string } = { ready: null, waiting: '' }

  constructor(options: MembershipOptions) {
    this.#with = options
    this.#startedAt = timestamp(options.runtime)
    this.#selfTests = new SelfTests(options.keyring)
  }

  /** Why this instance is not ready, by its last look; empty when it is. */
  get reasons(): readonly ReadinessReason[] {
    return this.#reasons
  }

  /** Things about this instance's KEKs that do not affect readiness, in words. */
  get notices(): readonly string[] {
    return this.#selfTests.notices
  }

  /** Joins the fleet; from here on a heartbeat runs until `leave`. */
  async join(options: CallOptions): Promise<void> {
    await this.#testFirst(options)
    await this.#beat(options)
    this.#schedule()
  }

  /** Tests, reports and pursues what an exchanged keyring brings, at once. Faults are told as those of any heartbeat. */
  async follow(options: CallOptions): Promise<void> {
    await this.#testFirst(options)
    await this.#beating
    if (this.#left) return
    this.#timer?.cancel()
    this.#checkedRevision = 0
    this.#beating = this.#heartbeat(options)
    await this.#beating
  }

  /** Leaves the fleet, so that nobody waits for this instance's lease. */
  async leave(): Promise<void> {
    this.#left = true
    this.#timer?.cancel()
    this.#selfTests.stop()
    await this.#beating
    await this.#with.fleet.goodbye({})
  }

  /** Looks at the whole fleet, once for everything that rests on it. */
  async survey(options: CallOptions): Promise<FleetSurvey> {
    const fleet = await this.#with.fleet.all(options)
    const live = liveReports(fleet)
    return { fleet, pending: this.#pending(live), verdict: this.#verdict(live) }
  }

  /** What the promotion of one KEK looks like from here. */
  async outlook(kekId: string, options: CallOptions): Promise<PromotionOutlook> {
    const snapshot = this.#with.state.snapshot
    if (snapshot === null) return { wished: false, waitingFor: [] }
    const live = await this.#with.fleet.live(options)
    const wish = pendingWishes(snapshot.document, live).find(({ id }) => id === kekId)
    if (wish === undefined) return { wished: false, waitingFor: [] }
    const verdict = checkPromotion(wish, snapshot.document, live)
    return { wished: true, waitingFor: verdict.kind === 'waiting' ? verdict.waitingFor : [] }
  }

  /** Whether a live instance other than this one holds all of these KEKs with the bound bytes. */
  async othersHold(kekIds: readonly string[], options: CallOptions): Promise<boolean> {
    const { state, fleet, instanceId } = this.#with
    const live = await fleet.live(options)
    const holdsBound = (report: InstanceReport, kekId: string): boolean => {
      const bound = state.snapshot === null ? undefined : kekEntry(state.snapshot.document, kekId)
      const held = heldBy(report, kekId)
      return held !== undefined && held.fingerprint === bound?.fingerprint
    }
    return live.some(
      (report) => report.instanceId !== instanceId && kekIds.every((id) => holdsBound(report, id)),
    )
  }

  /** Looks at readiness again, with a census that somebody has just made. */
  assess(census: ReadonlyMap<string, number>): void {
    this.#inUse = new Set([...census].filter(([, count]) => count > 0).map(([id]) => id))
    this.#concludeReadiness()
  }

  #pending(live: readonly InstanceReport[]): PendingPromotion | null {
    const snapshot = this.#with.state.snapshot
    if (snapshot === null) return null
    const wishes = pendingWishes(snapshot.document, live)
    const wish = wishes.find(({ id }) => id === this.#with.keyring.wishedKekId) ?? wishes[0]
    if (wish === undefined) return null
    const verdict = checkPromotion(wish, snapshot.document, live)
    if (verdict.kind === 'blocked' || verdict.kind === 'current') return null
    return { kekId: wish.id, wished: true, waitingFor: verdict.kind === 'waiting' ? verdict.waitingFor : [] }
  }

  #verdict(live: readonly InstanceReport[]): PromotionVerdict {
    const { state, keyring, fleet } = this.#with
    const kek = keyring.get(keyring.wishedKekId)
    const snapshot = state.snapshot
    if (snapshot === null || kek === undefined || this.#fulfilledWish === kek.id) return { kind: 'current' }
    if (fleet.role === 'member') return checkPromotion(kek, snapshot.document, live)
    const isNew = kekEntry(snapshot.document, kek.id) === undefined
    if (!isNew || pendingWishes(snapshot.document, live).some(({ id }) => id === kek.id))
      return { kind: 'current' }
    const reason =
      `No live member wishes KEK "${kek.id}", and an instance with fleet: '${fleet.role}' promotes nothing by itself. Call ` +
      `vault.keks.promote('${kek.id}'), or name the current KEK as current here.`
    return { kind: 'blocked', reasons: [reason] }
  }

  #schedule(): void {
    if (this.#left) return
    this.#timer = this.#with.runtime.timer(() => {
      // Not waited for: a heartbeat must not be late because a provider is.
      void this.#selfTests.run({ timeoutMs: this.#with.leaseMs })
      this.#beating = this.#heartbeat({})
    }, this.#with.leaseMs / 3)
  }

  /** Waited for, so that a KEK that passes at once is promoted at once; a provider that is away delays no more than this. */
  async #testFirst(options: CallOptions): Promise<void> {
    const mostMs = this.#with.leaseMs / 3
    await this.#selfTests.run({ ...options, timeoutMs: Math.min(options.timeoutMs ?? mostMs, mostMs) })
  }

  #heartbeat(options: CallOptions): Promise<void> {
    return this.#beat(options)
      .catch((error: unknown) => this.#fault(error))
      .finally(() => this.#schedule())
  }

  async #beat(options: CallOptions): Promise<void> {
    const { fleet, state } = this.#with
    // The report comes first: who looks for instances that a promotion must wait for sees this one.
    await fleet.report(this.#report(), options)
    const before = state.snapshot
    const snapshot = (await state.refresh(options)) ?? (await this.#firstStart(options))
    if (snapshot !== null) await this.#pursueWish(snapshot, options)
    this.#noteFulfilment()
    await this.#checkReadiness(options)
    if (before?.document.epoch !== state.snapshot?.document.epoch) await fleet.report(this.#report(), options)
    this.#with.onBeat()
  }

  /** No document and no record: this is the first instance. No document but records: the state was lost. */
  async #firstStart(options: CallOptions): Promise<KeyringSnapshot | null> {
    const { store, state, keyring, namespace, runtime } = this.#with
    const kek = keyring.get(keyring.wishedKekId)
    if (kek === undefined || (await holdsRecords(store, options))) return null
    // With nothing to serve yet there is no reason to begin with a KEK that may not work.
    if (kek.suite === '0002' && !isTested(kek)) await testRemoteKek(kek, options)
    const { incarnation } = await store.identify(options)
    const moment = { at: timestamp(runtime), incarnation }
    await state.replace(null, firstDocument(namespace, kek, moment), options)
    return await state.refresh(options)
  }

  #noteFulfilment(): void {
    const { state, keyring } = this.#with
    const document = state.snapshot?.document
    if (document !== undefined && currentKekId(document) === keyring.wishedKekId)
      this.#fulfilledWish = keyring.wishedKekId
  }

  async #pursueWish(basis: KeyringSnapshot, options: CallOptions): Promise<void> {
    const { store, keyring, state, runtime, emit, fleet } = this.#with
    if (fleet.role !== 'member') return
    // Only an id that was never promoted has to wait for others.
    const isNew = kekEntry(basis.document, keyring.wishedKekId) === undefined
    const verdict = this.#verdict(isNew ? await fleet.live(options) : [])
    const kek = keyring.get(keyring.wishedKekId)
    const waiting = verdict.kind === 'waiting' ? verdict.waitingFor.length : 0
    const told = `${waiting} for ${kek?.id}`
    if (kek !== undefined && told !== this.#told.waiting) {
      this.#told.waiting = told
      if (waiting > 0) emit({ type: 'promotion_waiting', kekId: kek.id, instances: waiting })
    }
    if (verdict.kind !== 'ready' || kek === undefined) return
    const formerKekId = currentKekId(basis.document)
    const { incarnation } = await store.identify(options)
    const next = madeCurrent(basis.document, kek, 'promote', { at: timestamp(runtime), incarnation })
    const entry = { action: 'promote', kekId: kek.id, epoch: basis.document.epoch } as const
    await this.#with.trail.around(entry, 'routine', async (note) => {
      const isFirst = await state.replace(basis, next, options)
      note(isFirst ? { epoch: next.epoch } : { details: { overtaken: true } })
      if (isFirst) emit({ type: 'promoted', kekId: kek.id, formerKekId, epoch: next.epoch })
      // Somebody else changed the document first; the next heartbeat looks at what it says now.
      else await state.refresh(options)
    })
  }

  async #checkReadiness(options: CallOptions): Promise<void> {
    const { keyring, state, store } = this.#with
    const snapshot = state.snapshot
    const asked = snapshot === null ? [] : fencedAndNotHeld(keyring, snapshot.document)
    this.#beatsSinceCheck += 1
    const isDue =
      this.#checkedRevision !== snapshot?.revision || this.#beatsSinceCheck >= BEATS_BETWEEN_CHECKS
    const mayHaveChanged = isDue && (this.#inUse.size > 0 || this.#checkedRevision !== snapshot?.revision)
    if (snapshot !== null && mayHaveChanged) {
      const current = currentKekId(snapshot.document)
      // A retired KEK that a census found records of stays asked for until they are gone.
      const returned = [...this.#inUse].filter((id) => kekEntry(snapshot.document, id)?.state === 'retired')
      const wanted = [...asked, ...returned]
      this.#inUse = wanted.length === 0 ? new Set() : await kekIdsInUse(store, current, wanted, options)
      this.#checkedRevision = snapshot.revision
      this.#beatsSinceCheck = 0
    }
    this.#concludeReadiness()
  }

  #concludeReadiness(): void {
    const { keyring, mayWrap, state, emit } = this.#with
    const snapshot = state.snapshot
    this.#reasons =
      snapshot === null
        ? [{ code: 'ERR_KEYRING_STATE_LOST', message: STATE_LOST_MESSAGE, kekId: null, fingerprint: null }]
        : readinessReasons({ keyring, mayWrap }, snapshot.document, this.#inUse)
    const messages = this.#reasons.map(({ message }) => message)
    const told = messages.join('\n')
    if (told === this.#told.ready) return
    this.#told.ready = told
    emit({ type: 'readiness', ready: messages.length === 0, messages })
  }

  #report(): InstanceReport {
    const { keyring, mayWrap, state, instanceId, leaseMs, runtime } = this.#with
    const keks = keyring.ids.flatMap((id): [string, HeldKek][] => {
      const kek = keyring.get(id)
      if (kek === undefined) return []
      const held = { fingerprint: kek.fingerprint, mayWrap: mayWrap(id) }
      return [[id, kek.suite === '0002' ? { ...held, tested: isTested(kek) } : held]]
    })
    return {
      instanceId,
      process: runtime.processName,
      leaseMs,
      wishedKekId: keyring.wishedKekId,
      keks: Object.fromEntries(keks),
      epochSeen: state.highestEpoch,
      formats: ['talos:v2'],
      sources: this.#with.declared().map(({ name }) => name),
      startedAt: this.#startedAt,
    }
  }

  #fault(error: unknown): void {
    const known = isEnvelopeError(error)
    // The text of an error that is not ours may hold anything.
    const message = known ? error.message : 'A heartbeat failed unexpectedly; the next one tries again.'
    this.#with.emit({ type: 'fault', during: 'heartbeat', code: known ? error.code : 'unexpected', message })
  }
}

async function holdsRecords(store: SecretStore, options: CallOptions): Promise<boolean> {
  let cursor: string | null = null
  do {
    const page: Page<SecretHeader> = await store.scan({ cursor, limit: 1 }, options)
    if (page.items.length > 0) return true
    cursor = page.next
  } while (cursor !== null)
  return false
}
