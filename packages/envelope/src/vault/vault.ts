import { openTalosV1, readTalosV1 } from '../codec/open-talos-v1.ts'
import { LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import type { HeldKeyring } from '../keyring/held-keyring.ts'
import { checkImportKeys } from '../keyring/import-keys.ts'
import type { KeySource } from '../keyring/key-source.ts'
import type { AuditSink } from '../lifecycle/audit.ts'
import { type AuditTrail, auditTrail } from '../lifecycle/audit-trail.ts'
import { CommandRunner } from '../lifecycle/command-runner.ts'
import { Fleet, type FleetRole } from '../lifecycle/fleet.ts'
import { KekCommands } from '../lifecycle/kek-commands.ts'
import type { KeyWatch } from '../lifecycle/key-watch.ts'
import { KeyringState } from '../lifecycle/keyring-state.ts'
import { Membership } from '../lifecycle/membership.ts'
import { RecoveryCommands } from '../lifecycle/recovery-commands.ts'
import { KeyReload, type ReloadResult } from '../lifecycle/reload.ts'
import type { DeclaredSource } from '../lifecycle/retirement/declared-source.ts'
import { RetirementGate } from '../lifecycle/retirement/retirement-gate.ts'
import { RotationDue } from '../lifecycle/rotation-due.ts'
import { type AuditPage, StoreAudit } from '../lifecycle/store-audit.ts'
import { InProcessRunner } from '../rotation/in-process-runner.ts'
import { OperationLog } from '../rotation/operation-log.ts'
import { RotationEngine } from '../rotation/rotation-engine.ts'
import type { RotationRunner } from '../rotation/runner.ts'
import { sourceTarget } from '../rotation/source-target.ts'
import { type Runtime, uuidV7 } from '../runtime.ts'
import type { CallOptions, Page, SecretStore } from '../store/secret-store.ts'
import { checkEpoch } from './arguments.ts'
import { auditedWrites } from './audited-writes.ts'
import { bindKeks, type RunCall } from './bind-keks.ts'
import { bindRotations } from './bind-rotations.ts'
import {
  type CallOperation,
  type CallTeller,
  told,
  toldAllFound,
  toldDone,
  toldFound,
  toldOutcome,
} from './call-events.ts'
import { Deadline } from './deadline.ts'
import { KeyAccess } from './key-access.ts'
import { Records } from './records.ts'
import type { Secret } from './secret.ts'
import type {
  AuditEventsOptions,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  ImportOptions,
  ListOptions,
  ListPageOptions,
  PutOptions,
  PutResult,
  ReencryptResult,
  RotateOptions,
  RotateResult,
  SecretEntry,
  SecretVault,
  VaultView,
} from './secret-vault.ts'
import { startRotation } from './start-rotation.ts'
import { vaultStatus } from './status.ts'
import type { AdoptOptions, ConfirmStoreOptions, KekCommandResult, VaultKeks } from './vault-keks.ts'
import type { VaultRotations } from './vault-rotations.ts'
import { VaultSources } from './vault-sources.ts'
import type { VaultStatus } from './vault-status.ts'

/** What a vault is made of, checked. */
export interface VaultParts {
  readonly store: SecretStore
  readonly namespace: string
  readonly maxValueBytes: number
  readonly leaseMs: number
  readonly fleet: FleetRole
  readonly onEvent?: EventListener
  readonly runtime: Runtime
  readonly keys: KeySource
  /** What was loaded of it. */
  readonly keyring: HeldKeyring
  /** Absent for the store's own documents. */
  readonly audit?: AuditSink
  readonly declaredSources: readonly DeclaredSource[]
  /** Absent for work in this process. */
  readonly runner?: RotationRunner
  /** The age from which on the current KEK is told to be due; `Infinity` for never. */
  readonly rotationDueAfterMs: number
  /** Absent when it is not to be watched. */
  readonly keyWatch?: KeyWatch
}

/** The vault behind `openVault`. */
export class Vault implements SecretVault {
  readonly namespace: string
  readonly instanceId: string
  readonly keks: VaultKeks
  readonly sources: VaultSources
  readonly rotations: VaultRotations
  readonly #parts: VaultParts
  readonly #state: KeyringState
  readonly #membership: Membership
  readonly #trail: AuditTrail
  readonly #recovery: RecoveryCommands
  readonly #reload: KeyReload
  readonly #log: OperationLog
  readonly #engine: RotationEngine
  readonly #keys: KeyAccess
  readonly #records: Records
  readonly #writes: Pick<Records, 'put' | 'delete'>
  readonly #inFlight = new Set<Promise<unknown>>()
  readonly #teller: CallTeller
  readonly #ending = new AbortController()
  #closing: Promise<void> | null = null

  constructor(parts: VaultParts) {
    const { store, namespace, runtime, leaseMs, keyring, keys: source } = parts
    this.#parts = parts
    this.namespace = namespace
    this.instanceId = uuidV7(runtime)
    this.#teller = { emit: parts.onEvent === undefined ? null : this.#emit, runtime }
    this.#state = new KeyringState(store, namespace)
    const keys = new KeyAccess(keyring, this.#state, this.#emit)
    this.#keys = keys
    const shared = { store, runtime, namespace, instanceId: this.instanceId, leaseMs, emit: this.#emit }
    this.#log = new OperationLog(store)
    const fleet = new Fleet(store, runtime, this.instanceId, parts.fleet)
    const trail = auditTrail({ ...shared, sink: parts.audit ?? new StoreAudit(store, runtime) })
    this.#trail = trail
    this.sources = new VaultSources(parts.declaredSources)
    const declared = () => this.sources.list()
    const domain = { ...shared, keyring, mayWrap: keys.mayWrap, state: this.#state, fleet, trail, declared }
    const gate = new RetirementGate({
      ...domain,
      newestOperation: async (options) => (await this.#log.newest(options))?.record ?? null,
    })
    const runner = new CommandRunner({ ...domain, follow: (options) => this.#membership.follow(options) })
    this.keks = bindKeks(gate, new KekCommands({ ...domain, gate, runner }), this.#run)
    this.#recovery = new RecoveryCommands({ ...domain, runner })
    const due = new RotationDue(parts.rotationDueAfterMs, runtime, this.#emit)
    this.#membership = new Membership({
      ...domain,
      onBeat: () => {
        this.#reload.onBeat()
        void this.#trail.flush()
        due.look(this.#state)
        this.#engine.wake()
      },
    })
    this.#reload = new KeyReload({
      ...shared,
      source,
      keyring,
      state: this.#state,
      inFlight: () => Promise.allSettled(this.#inFlight),
      follow: (options) => this.#membership.follow(options),
    })
    this.#engine = new RotationEngine({
      ...shared,
      log: this.#log,
      keyring: this.#state,
      runner: parts.runner ?? new InProcessRunner(),
      resolve: keys.resolve,
      targetKek: keys.forWrapping,
      outlook: (kekId) => this.#membership.outlook(kekId, {}),
      othersHold: (kekIds) => this.#membership.othersHold(kekIds, {}),
      sources: () => [...this.sources.rotatable().values()].map((each) => sourceTarget(each, runtime)),
    })
    this.#records = new Records({ ...parts, state: this.#state, keys })
    this.#writes = auditedWrites(this.#records, { trail, runtime })
    const rotations = { log: this.#log, engine: this.#engine, trail, runtime, closing: this.#ending.signal }
    this.rotations = bindRotations(rotations, this.#run)
  }

  get ready(): boolean {
    return this.#closing === null && this.#membership.reasons.length === 0
  }

  async open(deadline: Deadline): Promise<void> {
    try {
      await this.#engine.start()
      await this.#membership.join(deadline.next())
      this.#parts.keyWatch?.follow(() => this.#reload.due(() => this.reload()))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  put(name: string, value: string | Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    return this.#told('put', toldOutcome, () => this.#writes.put(name, value, options))
  }

  import(envelope: string, options: ImportOptions): Promise<PutResult> {
    return this.#told('import', toldOutcome, async () => {
      const keys = checkImportKeys(options.keys, options.insecureAllowWeakKey === true)
      const parsed = readTalosV1(envelope)
      this.#keys.setApart(keys.map(({ fingerprint }) => fingerprint))
      const value = openTalosV1(parsed, keys)
      try {
        const { expectedVersion = null } = options
        return await this.#records.put(options.name, value, { ...options, expectedVersion })
      } finally {
        value.fill(0)
      }
    })
  }

  reencrypt(name: string, options: GetOptions = {}): Promise<ReencryptResult> {
    return this.#told('reencrypt', toldOutcome, () => this.#records.reencrypt(name, options))
  }

  get(name: string, options: GetOptions = {}): Promise<Secret | null> {
    return this.#told('get', toldFound, () => this.#records.get(name, options))
  }

  getMany(names: readonly string[], options: GetOptions = {}): Promise<readonly (Secret | null)[]> {
    return this.#told('getMany', toldAllFound, () => this.#records.getMany(names, options))
  }

  delete(name: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    return this.#told('delete', toldOutcome, () => this.#writes.delete(name, options))
  }

  within(store: SecretStore): VaultView {
    if (typeof store?.write !== 'function') throw new TypeError('store is a view of the store of this vault.')
    const records = new Records({ ...this.#parts, store, state: this.#state, keys: this.#keys })
    const writes = auditedWrites(records, { trail: this.#trail, runtime: this.#parts.runtime })
    return {
      put: (name, value, options = {}) =>
        this.#told('put', toldOutcome, () => writes.put(name, value, options)),
      get: (name, options = {}) => this.#told('get', toldFound, () => records.get(name, options)),
      getMany: (names, options = {}) =>
        this.#told('getMany', toldAllFound, () => records.getMany(names, options)),
      delete: (name, options = {}) => this.#told('delete', toldOutcome, () => writes.delete(name, options)),
    }
  }

  async *list(options: ListOptions = {}): AsyncGenerator<SecretEntry> {
    let cursor: string | null = null
    do {
      const page: Page<SecretEntry> = await this.listPage({ ...options, cursor })
      yield* page.items
      cursor = page.next
    } while (cursor !== null)
  }

  listPage(options: ListPageOptions = {}): Promise<Page<SecretEntry>> {
    return this.#told('list', toldDone, () => this.#records.listPage(options))
  }

  rotate(options: RotateOptions = {}): Promise<RotateResult> {
    const parts = {
      state: this.#state,
      membership: this.#membership,
      log: this.#log,
      engine: this.#engine,
      trail: this.#trail,
    }
    return this.#run(options, (next) => startRotation(parts, options, next))
  }

  status(options: CallOptions = {}): Promise<VaultStatus> {
    return this.#told('status', toldDone, () => {
      const { store, runtime, namespace, keyring, keyWatch } = this.#parts
      const keyNotices = [...(keyWatch?.notices ?? []), ...this.#reload.notices]
      const sources = { store, keyring, runtime, namespace, instanceId: this.instanceId, keyNotices }
      const deadline = new Deadline(runtime, options)
      return vaultStatus({ ...sources, state: this.#state, membership: this.#membership }, deadline)
    })
  }

  reload(options: CallOptions = {}): Promise<ReloadResult> {
    return this.#call(() => {
      const deadline = new Deadline(this.#parts.runtime, options)
      const epoch = this.#state.snapshot?.document.epoch ?? null
      return this.#trail.around({ action: 'reload', epoch }, 'routine', async (note) => {
        const result = await this.#reload.run(() => deadline.next())
        note({ details: { added: result.added.join(' '), removed: result.removed.join(' ') } })
        return result
      })
    })
  }

  adopt(options: AdoptOptions = {}): Promise<KekCommandResult> {
    return this.#run(options, async (next) => {
      checkEpoch('minEpoch', options.minEpoch)
      return { epoch: await this.#recovery.adopt(options, next) }
    })
  }

  confirmStore(options: ConfirmStoreOptions = {}): Promise<KekCommandResult> {
    return this.#run(options, async (next) => {
      checkEpoch('minEpoch', options.minEpoch)
      return { epoch: await this.#recovery.confirmStore(options, next) }
    })
  }

  auditEvents(options: AuditEventsOptions = {}): Promise<AuditPage> {
    return this.#run(options, async (next) => {
      const { store, runtime, audit } = this.#parts
      if (audit !== undefined)
        throw new TypeError('This vault was given an audit sink. Read the trail there.')
      const { cursor = null, limit = 100 } = options
      return await new StoreAudit(store, runtime).list({ cursor, limit }, next())
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#ending.abort()
    this.#parts.keyWatch?.close()
    this.#reload.stop()
    await this.#engine.stop()
    // Before the goodbye, after which the others may promote a KEK that those calls lack.
    await Promise.allSettled(this.#inFlight)
    try {
      await this.#membership.leave()
    } catch {
      // The store does not answer: others wait for this instance's lease instead.
    }
    await this.#trail.flush()
  }

  /** Runs a call with a deadline of its own. */
  readonly #run: RunCall = (options, call) =>
    this.#call(async () => {
      const deadline = new Deadline(this.#parts.runtime, options ?? {})
      return await call(() => deadline.next())
    })

  /** A call that the listener hears of. */
  #told<T>(operation: CallOperation, outcomeOf: (answer: T) => string, call: () => Promise<T>): Promise<T> {
    return told(this.#teller, operation, outcomeOf, () => this.#call(call))
  }

  /** Counts a call, so that `close` can wait for it. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    this.#assertOpen()
    const promise = call()
    this.#inFlight.add(promise)
    try {
      return await promise
    } finally {
      this.#inFlight.delete(promise)
    }
  }

  #assertOpen(): void {
    if (this.#closing !== null) {
      throw new LifecycleError('ERR_VAULT_CLOSED', 'This vault was closed. Open a new one with openVault().')
    }
  }

  readonly #emit: EventListener = (event) => {
    try {
      this.#parts.onEvent?.(event)
    } catch {
      // Telemetry never stops the work.
    }
  }
}
