import { KeyError, LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import { MAX_VALUE_BYTES } from '../format/envelope-v2.ts'
import { passesSelfTest } from '../keyring/kek.ts'
import type { KeySource } from '../keyring/key-source.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { Fleet } from '../lifecycle/fleet.ts'
import { currentKekId } from '../lifecycle/keyring-document.ts'
import { KeyringState } from '../lifecycle/keyring-state.ts'
import { Membership } from '../lifecycle/membership.ts'
import { STATE_LOST_MESSAGE } from '../lifecycle/readiness.ts'
import type { RotationFailure, RotationOperation } from '../rotation/operation.ts'
import { OperationLog } from '../rotation/operation-log.ts'
import { RotationEngine } from '../rotation/rotation-engine.ts'
import { type Runtime, uuidV7 } from '../runtime.ts'
import type { CallOptions, Page, SecretStore } from '../store/secret-store.ts'
import { checkNamespace } from './arguments.ts'
import { Deadline } from './deadline.ts'
import { KeyAccess } from './key-access.ts'
import { Records } from './records.ts'
import type { Secret } from './secret.ts'
import type {
  DeleteOptions,
  DeleteResult,
  GetOptions,
  ListOptions,
  ListPageOptions,
  PutOptions,
  PutResult,
  RotateOptions,
  RotateResult,
  SecretEntry,
  SecretVault,
  VaultStatus,
} from './secret-vault.ts'
import { vaultStatus } from './status.ts'
import { systemRuntime } from './system-runtime.ts'

export interface OpenVaultOptions extends CallOptions {
  /** Where the secrets are kept. It is the caller's: the vault never closes its client. */
  readonly store: SecretStore
  /** Where the KEKs come from, such as `environmentKeys()`. */
  readonly keys: KeySource
  /** Name of the keyring domain, part of every secret's encryption context: 1 to 128 bytes. One store, one namespace. */
  readonly namespace: string
  /** The longest value `put` takes, in bytes: 1 to 1,048,576. @defaultValue 65_536 */
  readonly maxValueBytes?: number
  /**
   * How long after its last heartbeat this instance still counts as live, in milliseconds: 100 to 600,000. It renews three
   * times in that time. Others wait that long for a process that was killed. @defaultValue 15_000
   */
  readonly leaseMs?: number
  /** Hears what happens in the background. @defaultValue nobody */
  readonly onEvent?: EventListener
  /** Clocks, timers and the process's name in messages to operators; for tests and simulators. @defaultValue the process's */
  readonly runtime?: Partial<Runtime>
}

const DEFAULT_MAX_VALUE_BYTES = 65_536
const DEFAULT_LEASE_MS = 15_000

/**
 * Opens the secrets of one keyring domain: loads and tests the KEKs, registers this instance, reads the keyring document (and
 * creates it on the very first start), promotes the wished KEK where nobody has to be waited for, and carries on an
 * interrupted rotation in the background.
 *
 * A vault that cannot serve every record opens all the same, with `ready` false and the reasons in `status()`: what it can
 * serve, it serves.
 *
 * @throws TypeError for options of the wrong form.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all faults of the key source at once.
 * @throws LifecycleError `ERR_NAMESPACE_MISMATCH`, `ERR_KEYRING_DOCUMENT`.
 * @throws StoreError `ERR_STORE_UNAVAILABLE`, `ERR_STORE_NOT_MIGRATED`.
 */
export async function openVault(options: OpenVaultOptions): Promise<SecretVault> {
  checkNamespace(options.namespace)
  const { maxValueBytes = DEFAULT_MAX_VALUE_BYTES, leaseMs = DEFAULT_LEASE_MS, keys } = options
  checkWhole('maxValueBytes', maxValueBytes, 1, MAX_VALUE_BYTES)
  checkWhole('leaseMs', leaseMs, 100, 600_000)
  if (typeof keys?.load !== 'function')
    throw new TypeError('keys is a key source, such as environmentKeys().')
  if (typeof options.store?.writeDocument !== 'function') throw new TypeError('store is a SecretStore.')
  const runtime: Runtime = { ...systemRuntime(), ...options.runtime }
  const deadline = new Deadline(runtime, options)
  const keyring = await keys.load(options.signal === undefined ? {} : { signal: options.signal })
  for (const id of keyring.ids) {
    const kek = keyring.get(id)
    if (kek !== undefined && !passesSelfTest(kek)) {
      throw new KeyError(
        'ERR_KEK_MISMATCH',
        `KEK "${id}" failed its self-test on this machine. Nothing was written.`,
        {
          kekId: id,
        },
      )
    }
  }
  const vault = new Vault({ ...options, maxValueBytes, leaseMs, runtime, keyring })
  await vault.open(deadline)
  return vault
}

interface VaultParts {
  readonly store: SecretStore
  readonly namespace: string
  readonly maxValueBytes: number
  readonly leaseMs: number
  readonly onEvent?: EventListener
  readonly runtime: Runtime
  readonly keyring: Keyring
}

class Vault implements SecretVault {
  readonly namespace: string
  readonly instanceId: string
  readonly #parts: VaultParts
  readonly #state: KeyringState
  readonly #membership: Membership
  readonly #log: OperationLog
  readonly #engine: RotationEngine
  readonly #records: Records
  readonly #inFlight = new Set<Promise<unknown>>()
  #closing: Promise<void> | null = null

  constructor(parts: VaultParts) {
    const { store, namespace, runtime, leaseMs, keyring } = parts
    this.#parts = parts
    this.namespace = namespace
    this.instanceId = uuidV7(runtime)
    this.#state = new KeyringState(store, namespace)
    const keys = new KeyAccess(keyring, this.#state)
    const shared = { store, runtime, namespace, instanceId: this.instanceId, leaseMs, emit: this.#emit }
    this.#membership = new Membership({
      ...shared,
      keyring,
      state: this.#state,
      fleet: new Fleet(store, runtime, this.instanceId),
      onBeat: () => {
        this.#engine.rouse()
        this.#engine.wake()
      },
    })
    this.#log = new OperationLog(store)
    this.#engine = new RotationEngine({
      ...shared,
      log: this.#log,
      keyring: this.#state,
      resolve: keys.resolve,
      targetKek: keys.forWrapping,
      outlook: (kekId) => this.#membership.outlook(kekId, {}),
    })
    this.#records = new Records({ ...parts, state: this.#state, keys })
  }

  get ready(): boolean {
    return this.#closing === null && this.#membership.reasons.length === 0
  }

  async open(deadline: Deadline): Promise<void> {
    try {
      await this.#membership.join(deadline.next())
    } catch (error) {
      await this.close()
      throw error
    }
  }

  put(name: string, value: string | Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    return this.#call(() => this.#records.put(name, value, options))
  }

  get(name: string, options: GetOptions = {}): Promise<Secret | null> {
    return this.#call(() => this.#records.get(name, options))
  }

  getMany(names: readonly string[], options: GetOptions = {}): Promise<readonly (Secret | null)[]> {
    return this.#call(() => this.#records.getMany(names, options))
  }

  delete(name: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    return this.#call(() => this.#records.delete(name, options))
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
    return this.#call(() => this.#records.listPage(options))
  }

  rotate(options: RotateOptions = {}): Promise<RotateResult> {
    return this.#call(async () => {
      const { ratePerSecond = null } = options
      if (ratePerSecond !== null && !(Number.isFinite(ratePerSecond) && ratePerSecond > 0)) {
        throw new TypeError('ratePerSecond is a positive number.')
      }
      const deadline = new Deadline(this.#parts.runtime, options)
      const snapshot = await this.#state.refresh(deadline.next())
      if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
      const verdict = await this.#membership.verdict(deadline.next())
      if (verdict.kind === 'blocked') {
        const message = `The KEK this instance wishes can never become current. ${verdict.reasons.join(' ')}`
        throw new LifecycleError('ERR_PROMOTION_BLOCKED', message, { reasons: verdict.reasons })
      }
      const pending = await this.#membership.pending(deadline.next())
      const target = pending?.kekId ?? currentKekId(snapshot.document)
      const draft = this.#engine.draft(target, ratePerSecond, pending?.waitingFor ?? [])
      const active = await this.#log.begin(draft, deadline.next())
      this.#engine.wake()
      return { id: active.id, started: active.id === draft.id }
    })
  }

  rotation(operationId: string, options: CallOptions = {}): Promise<RotationOperation | null> {
    return this.#call(() => this.#log.find(operationId, new Deadline(this.#parts.runtime, options).next()))
  }

  async *rotationFailures(operationId: string, options: CallOptions = {}): AsyncGenerator<RotationFailure> {
    this.#assertOpen()
    yield* this.#log.failures(operationId, options)
  }

  status(options: CallOptions = {}): Promise<VaultStatus> {
    return this.#call(() => {
      const { store, keyring, runtime, namespace } = this.#parts
      const sources = { store, keyring, runtime, namespace, instanceId: this.instanceId }
      const deadline = new Deadline(runtime, options)
      return vaultStatus({ ...sources, state: this.#state, membership: this.#membership }, deadline)
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
    await this.#engine.stop()
    try {
      await this.#membership.leave()
    } catch {
      // The store does not answer: others wait for this instance's lease instead.
    }
    await Promise.allSettled(this.#inFlight)
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

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new TypeError(`${what} is a whole number from ${least} to ${most}.`)
  }
}
