import type { EventListener } from '../events.ts'
import { MAX_VALUE_BYTES } from '../format/envelope-v2.ts'
import { HeldKeyring } from '../keyring/held-keyring.ts'
import type { KeySource } from '../keyring/key-source.ts'
import type { AuditSink } from '../lifecycle/audit.ts'
import { type FleetRole, MOST_LEASE_MS } from '../lifecycle/fleet.ts'
import { KeyWatch } from '../lifecycle/key-watch.ts'
import { checkDeclaredSources, type DeclaredSource } from '../lifecycle/retirement/declared-source.ts'
import { checkLocalKeks } from '../lifecycle/self-tests.ts'
import type { RotationRunner } from '../rotation/runner.ts'
import type { Runtime } from '../runtime.ts'
import type { CallOptions, SecretStore } from '../store/secret-store.ts'
import { checkNamespace } from './arguments.ts'
import { Deadline } from './deadline.ts'
import type { SecretVault } from './secret-vault.ts'
import { systemRuntime } from './system-runtime.ts'
import { Vault } from './vault.ts'

/** Options of {@link openVault}. */
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
  /**
   * Whether the key source is loaded again by itself when it changes, as {@link SecretVault.reload} does, where it can tell.
   *
   * @defaultValue true
   */
  readonly watchKeys?: boolean
  /**
   * How this instance takes part in the fleet. Each reads and writes secrets and may begin an empty store.
   *
   * - `member`, for services: promotes the KEK it wishes, and promotions wait for it.
   * - `observer`, for command lines and dashboards: reports itself, for others to see.
   * - `none`, for functions that are frozen between requests: writes no report, so that nobody sees it.
   *
   * The last two promote nothing by themselves and are never waited for. Give them a KEK before it is promoted; without it they
   * can then neither write nor open what is under it. Where all are `none`, `vault.keks.promote` makes a KEK current.
   *
   * @defaultValue member
   */
  readonly fleet?: FleetRole
  /** Where the audit trail goes. @defaultValue documents of the store, read by {@link SecretVault.auditEvents} */
  readonly audit?: AuditSink
  /**
   * Places outside of the store where envelopes under the same KEKs are kept. The retirement gate asks them, and a rotation
   * re-wraps those that can be; to declare none is to state that there are none. More may follow with `vault.sources.add`.
   *
   * @defaultValue none
   */
  readonly declaredSources?: readonly DeclaredSource[]
  /** Who works on the shards of a rotation, such as a job engine. @defaultValue this process, and every other instance */
  readonly runner?: RotationRunner
  /**
   * The age of the current KEK, in milliseconds, from which on a `rotation_due` event reminds of its replacement.
   *
   * @defaultValue absent: nothing reminds of it
   */
  readonly rotationDueAfterMs?: number
  /** Hears what happens in the background. @defaultValue nobody */
  readonly onEvent?: EventListener
  /** Clocks, timers and the process's name in messages to operators; for tests and simulators. @defaultValue the process's */
  readonly runtime?: Partial<Runtime>
}

const DEFAULT_MAX_VALUE_BYTES = 65_536
const DEFAULT_LEASE_MS = 15_000
const FLEET_ROLES: readonly FleetRole[] = ['member', 'observer', 'none']

/**
 * Opens the secrets of one keyring domain: loads and tests the KEKs, registers this instance, reads the keyring document (and
 * creates it on the very first start), promotes the wished KEK where nobody has to be waited for, and carries on an
 * interrupted rotation in the background.
 *
 * A vault that cannot serve every record opens all the same, with `ready` false and the reasons in `status()`: what it can
 * serve, it serves. The outage of a key provider does not even affect `ready`: calls that need that provider answer
 * `ERR_KEY_PROVIDER_UNAVAILABLE`, all others go on, and `status().notices` names the KEK. Only the very first start, on an
 * empty store, needs the provider of a remote KEK that is to be current.
 *
 * @throws TypeError for options of the wrong form.
 * @throws KeyError `ERR_KEY_CONFIGURATION` with all faults of the key source at once.
 * @throws LifecycleError `ERR_NAMESPACE_MISMATCH`, `ERR_KEYRING_DOCUMENT`.
 * @throws ProviderError on the very first start, when the current KEK is remote and does not pass its self-test.
 * @throws StoreError `ERR_STORE_UNAVAILABLE`, `ERR_STORE_NOT_MIGRATED`.
 */
export async function openVault(options: OpenVaultOptions): Promise<SecretVault> {
  checkNamespace(options.namespace)
  const {
    maxValueBytes = DEFAULT_MAX_VALUE_BYTES,
    leaseMs = DEFAULT_LEASE_MS,
    fleet = 'member',
    keys,
  } = options
  checkWhole('maxValueBytes', maxValueBytes, 1, MAX_VALUE_BYTES)
  checkWhole('leaseMs', leaseMs, 100, MOST_LEASE_MS)
  if (!FLEET_ROLES.includes(fleet)) throw new TypeError(`fleet is one of ${FLEET_ROLES.join(', ')}.`)
  const { declaredSources = [] } = options
  checkDeclaredSources(declaredSources)
  if (options.audit !== undefined && typeof options.audit.append !== 'function')
    throw new TypeError('audit is an AuditSink.')
  const { rotationDueAfterMs = Number.POSITIVE_INFINITY, runner } = options
  if (!(rotationDueAfterMs > 0))
    throw new TypeError('rotationDueAfterMs is a positive number of milliseconds.')
  if (runner !== undefined && typeof runner.enqueue !== 'function')
    throw new TypeError('runner is a RotationRunner.')
  if (typeof keys?.load !== 'function')
    throw new TypeError('keys is a key source, such as environmentKeys().')
  if (typeof options.store?.writeDocument !== 'function') throw new TypeError('store is a SecretStore.')
  const runtime: Runtime = { ...systemRuntime(), ...options.runtime }
  const deadline = new Deadline(runtime, options)
  const watch = options.watchKeys === false ? {} : { keyWatch: new KeyWatch(keys) }
  try {
    const loaded = await keys.load(options.signal === undefined ? {} : { signal: options.signal })
    checkLocalKeks(loaded)
    const keyring = new HeldKeyring(loaded)
    const vault = new Vault({
      ...options,
      ...watch,
      declaredSources,
      rotationDueAfterMs,
      maxValueBytes,
      leaseMs,
      fleet,
      runtime,
      keyring,
    })
    await vault.open(deadline)
    return vault
  } catch (error) {
    watch.keyWatch?.close()
    throw error
  }
}

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new TypeError(`${what} is a whole number from ${least} to ${most}.`)
  }
}
