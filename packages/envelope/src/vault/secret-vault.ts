import type { ImportKey } from '../keyring/import-keys.ts'
import type { AuditNotes } from '../lifecycle/audit.ts'
import type { WaitingFor } from '../lifecycle/promote.ts'
import type { ReloadResult } from '../lifecycle/reload.ts'
import type { AuditPage } from '../lifecycle/store-audit.ts'
import type { CallOptions, Page, SecretStore } from '../store/secret-store.ts'
import type { Secret } from './secret.ts'
import type { AdoptOptions, ConfirmStoreOptions, KekCommandResult, VaultKeks } from './vault-keks.ts'
import type { VaultRotations } from './vault-rotations.ts'
import type { VaultSources } from './vault-sources.ts'
import type { VaultStatus } from './vault-status.ts'

/** The caller's pairs of the encryption context: at most 14, and neither `namespace` nor `name`. */
export type CallerContext = Readonly<Record<string, string>>

/** Options of `put`. */
export interface PutOptions extends CallOptions {
  /**
   * Records the change in the audit trail, with the name of the secret. Nothing is written unless its intent is kept; that takes
   * two more writes to the sink. For changes that people ask for.
   *
   * @defaultValue absent: it is not recorded
   */
  readonly audit?: AuditNotes
  /**
   * The version the caller believes the secret to have; `null` for a secret that must not exist yet. A name that was deleted
   * and written again counts from 1 again.
   *
   * @defaultValue absent: whatever is there is replaced
   */
  readonly expectedVersion?: number | null
  /** Pairs that every later read must give again. @defaultValue none */
  readonly context?: CallerContext
}

/** Options of `import`. */
export interface ImportOptions extends CallOptions {
  /** The name the secret gets: 1 to 512 bytes of well-formed UTF-8, no U+0000. */
  readonly name: string
  /** The keys the envelope may be under, apart from the KEKs of the vault. The one of the envelope's id is taken. */
  readonly keys: readonly ImportKey[]
  /**
   * The version the caller believes the secret to have; `null` for a secret that must not exist yet. Unlike `put`, an import
   * never replaces unseen: what was written since the old system was left is newer than the old row.
   *
   * @defaultValue null
   */
  readonly expectedVersion?: number | null
  /** Pairs that every later read must give again. @defaultValue none */
  readonly context?: CallerContext
  /**
   * Takes keys with fewer than 12 distinct bytes or of printable ASCII only. Such a key can be guessed: whoever has a copy of
   * the old rows may have the values too, and importing does not mend that.
   *
   * @defaultValue false: they are refused
   */
  readonly insecureAllowWeakKey?: boolean
}

/** A lost race is an answer, not an error: `conflict` carries the version that is there, `null` for none. */
export type PutResult =
  | { readonly outcome: 'created' | 'replaced'; readonly version: number }
  | { readonly outcome: 'conflict'; readonly version: number | null }

/** Options of `get` and `getMany`. */
export interface GetOptions extends CallOptions {
  /** The pairs the secret was written with. Without the same pairs a read fails closed. @defaultValue none */
  readonly context?: CallerContext
}

/** Options of `delete`. */
export interface DeleteOptions extends CallOptions {
  /** As of `put`. @defaultValue absent: it is not recorded */
  readonly audit?: AuditNotes
  /** The version the caller believes the secret to have. @defaultValue absent: whatever is there is deleted */
  readonly expectedVersion?: number
}

/** What became of a `delete`. At a `conflict`, `version` is the one that is there, and nothing was deleted. */
export type DeleteResult =
  | { readonly outcome: 'deleted' | 'missing' }
  | { readonly outcome: 'conflict'; readonly version: number }

/** What became of a `reencrypt`; `version` is one more than before. */
export type ReencryptResult =
  | { readonly outcome: 'reencrypted'; readonly version: number }
  | { readonly outcome: 'missing' }

/** What is known of a secret without opening it. */
export interface SecretEntry {
  readonly name: string
  /** `null`, as the times, when the record's metadata is damaged. */
  readonly version: number | null
  /** The KEK its DEK is wrapped under, read from the stored wrap text; `null` when that is damaged. */
  readonly kekId: string | null
  /** RFC 3339 UTC, as the other times. */
  readonly createdAt: string | null
  /** When the value was last written. */
  readonly updatedAt: string | null
  /** When its DEK was last put under another KEK; `null` if never since the value was written. */
  readonly rewrappedAt: string | null
}

/** Options of `list`. */
export interface ListOptions extends CallOptions {
  /** Only names that begin with this text. @defaultValue all */
  readonly prefix?: string
  /**
   * Only secrets whose value was written at this time or later, as RFC 3339 UTC, by the clock of whoever wrote it; those whose
   * metadata is damaged too.
   *
   * @defaultValue all
   */
  readonly changedSince?: string
}

/** Options of `listPage`. */
export interface ListPageOptions extends ListOptions {
  /** `next` of the page before. @defaultValue null: from the start */
  readonly cursor?: string | null
  /** 1 to 1,000 records looked at; a page may hold fewer. @defaultValue 100 */
  readonly limit?: number
}

/** Options of `auditEvents`. */
export interface AuditEventsOptions extends CallOptions {
  /** `next` of the page before. @defaultValue null: from the newest */
  readonly cursor?: string | null
  /** 1 to 1,000. @defaultValue 100 */
  readonly limit?: number
}

/** Options of `rotate`. */
export interface RotateOptions extends CallOptions, AuditNotes {
  /** The most secrets to re-wrap per second. @defaultValue absent: as fast as the store takes them */
  readonly ratePerSecond?: number
  /**
   * How many shards one instance works on at once: 1 to 8. More than one helps where the store is far away; one is fastest where
   * it is near. A job engine may have a setting of its own.
   *
   * @defaultValue 1
   */
  readonly concurrency?: number
  /**
   * Opens every secret that would be re-wrapped, its value included, and writes none. It needs no promotion: the target is the
   * KEK that is wished, if this instance holds it. Its outcome blocks nothing.
   *
   * @defaultValue false
   */
  readonly dryRun?: boolean
  /**
   * How long an outage of the store or of a key provider is waited out, in milliseconds: 0 to 86,400,000. After that the
   * operation is paused, with the reason, until somebody resumes it.
   *
   * @defaultValue 300_000
   */
  readonly pauseAfterMs?: number
  /**
   * Says that you know: re-wrapping takes secrets from under a compromised KEK and makes none of them secret again. Replace the
   * credentials.
   *
   * @defaultValue false: while a KEK is marked compromised, rotations are refused
   */
  readonly acknowledgeCompromised?: boolean
}

/** Which rotation is going on after `rotate`. */
export interface RotateResult {
  /** The operation's id, a UUIDv7. */
  readonly id: string
  /** Whether this call began it; `false` when one was active already, whose id this is. */
  readonly started: boolean
  /** Whom the promotion of its target waits for, at most 50 of them; empty when it goes on at once. */
  readonly waitingFor: readonly WaitingFor[]
}

/** The secrets of a vault through another view of its store; see {@link SecretVault.within}. */
export type VaultView = Pick<SecretVault, 'put' | 'get' | 'getMany' | 'delete'>

/**
 * Secrets of one keyring domain: one store and one namespace.
 *
 * Every method takes `signal` and `timeoutMs` (10 s unless told) and may be called again after a time-out.
 */
export interface SecretVault extends AsyncDisposable {
  readonly namespace: string
  /** This process's id in the fleet, a UUIDv7. */
  readonly instanceId: string
  /** Whether this instance can serve every record, by its last look at the store. Costs nothing to ask. */
  readonly ready: boolean

  /**
   * Encrypts a value under a fresh DEK and stores it, with compare-and-swap.
   *
   * @param name - 1 to 512 bytes of well-formed UTF-8, no U+0000.
   * @param value - Text or bytes, 0 to 65,536 bytes unless `maxValueBytes` says otherwise.
   * @throws TypeError for a name, value, version or context of the wrong form.
   * @throws FormatError `ERR_VALUE_TOO_LARGE`, `ERR_CONTEXT_TOO_LARGE`; nothing was written.
   * @throws KeyError `ERR_KEK_NOT_LOADED`, `ERR_KEK_MISMATCH`, `ERR_KEK_NOT_ALLOWED` when this instance may not wrap under
   * the current KEK.
   * @throws LifecycleError `ERR_KEYRING_STATE_LOST`; `ERR_CONTEXT_CHANGED` for a secret that exists with other pairs;
   * `ERR_AUDIT_UNAVAILABLE` with `audit`.
   * @throws StoreError `ERR_STORE_UNAVAILABLE` (not written), `ERR_STORE_OUTCOME_UNKNOWN` (repeat or re-read).
   */
  put(name: string, value: string | Uint8Array, options?: PutOptions): Promise<PutResult>

  /**
   * Opens one Talos v1 envelope and stores its value as `put` does: under a fresh DEK and the current KEK. Nothing of the old
   * envelope is kept.
   *
   * From then on, until it is closed, this vault only unwraps under a KEK that has the same bytes as a given key, whatever its
   * id: bytes that encrypted values directly must never wrap DEKs. With its next heartbeat it also begins to keep such a KEK
   * from being promoted.
   *
   * @param envelope - JSON in one of its two shapes, at most 2,113,536 bytes.
   * @returns `conflict` for a name that exists: the call may be repeated, and so may a whole migration.
   * @throws TypeError as `put`, and for an envelope that is not text or keys of the wrong form.
   * @throws FormatError `ERR_ENVELOPE_MALFORMED`; the message names the rule. Also as `put`.
   * @throws DecryptError `ERR_DECRYPT_FAILED` with `kek_unknown` (no key of the envelope's id was given), `aad_mismatch` (the
   * envelope carries another AAD) or `payload_corrupt` (other key bytes, another AAD, or altered).
   * @throws KeyError `ERR_KEY_CONFIGURATION` for a key that is weak or not 32 bytes, `ERR_KEK_NOT_ALLOWED` when the current KEK
   * has the bytes of a given key. Also as `put`.
   * @throws LifecycleError, StoreError as `put`.
   */
  import(envelope: string, options: ImportOptions): Promise<PutResult>

  /**
   * Reads and opens one secret.
   *
   * @returns The secret, or `null` when there is none.
   * @throws KeyError `ERR_KEK_NOT_LOADED`, `ERR_KEK_MISMATCH`: the message names the id to add back.
   * @throws DecryptError when it does not open: another context, or altered.
   */
  get(name: string, options?: GetOptions): Promise<Secret | null>

  /** Reads up to 100 secrets in one store call; answers in the order asked. All share `context`. */
  getMany(names: readonly string[], options?: GetOptions): Promise<readonly (Secret | null)[]>

  /**
   * Writes the value of a secret once more, under a fresh DEK: what a rotation does not do. For secrets whose DEK others may
   * know, together with a new credential.
   *
   * @param options - The pairs that the secret was written with.
   * @throws KeyError, DecryptError, LifecycleError, StoreError as `get` and `put`.
   */
  reencrypt(name: string, options?: GetOptions): Promise<ReencryptResult>

  /** Deletes one secret. Needs no KEK. */
  delete(name: string, options?: DeleteOptions): Promise<DeleteResult>

  /**
   * Makes a view of this vault that reads and writes secrets through another view of its store: one whose calls are part of a
   * transaction of the application, as `within(client)` of a SQL store makes it. What `put` and `delete` answer, and the audit
   * trail says of them, holds once that transaction is committed. The vault itself goes on using the store it was opened with.
   *
   * @param store - A view of the store the vault was opened with; never another store.
   */
  within(store: SecretStore): VaultView

  /** Lists metadata of all secrets, no values. Order is the store's; a name may come twice while others write. */
  list(options?: ListOptions): AsyncIterable<SecretEntry>

  /** Lists one page of metadata. */
  listPage(options?: ListPageOptions): Promise<Page<SecretEntry>>

  /**
   * Starts re-wrapping every secret that is not under the target KEK. The work runs here, in the background, until it is
   * done or the vault is closed; another instance, or the next start, carries it on.
   *
   * @throws LifecycleError `ERR_PROMOTION_BLOCKED` when the wished KEK cannot become current; `reasons` say why.
   * `ERR_KEK_COMPROMISED` while a KEK is marked so and `acknowledgeCompromised` is not given.
   */
  rotate(options?: RotateOptions): Promise<RotateResult>

  /** The rotations of this keyring domain: what they have done, and what an operator can ask of them. */
  readonly rotations: VaultRotations

  /** Looks at the store and says whether this instance is ready, what is pending, and counts records per KEK. */
  status(options?: CallOptions): Promise<VaultStatus>

  /**
   * Loads the key source again and exchanges the keyring, without a restart: KEKs come and go, and a KEK that the source now
   * names as current is promoted as soon as the fleet allows it. The next call of every method sees the new keyring, and calls
   * in flight finish with what they began with. Reloads are made one after the other.
   *
   * A reload that is refused changes nothing. It is told as a `fault` event with `during: 'reload'`, and in `status().notices`
   * until a reload succeeds.
   *
   * @throws KeyError `ERR_KEY_CONFIGURATION` with all faults of the key source; `ERR_KEK_MISMATCH` when a KEK fails its
   * self-test or has other bytes than the ones bound to its id; `ERR_KEK_NOT_LOADED` when the current KEK or one that secrets
   * are still under would go missing.
   * @throws LifecycleError `ERR_KEYRING_STATE_LOST` when KEKs would go missing while nothing tells which are needed;
   * `ERR_VAULT_CLOSED`.
   * @throws StoreError `ERR_STORE_UNAVAILABLE`, also when the call ran out of time. It may be made again.
   */
  reload(options?: CallOptions): Promise<ReloadResult>

  /** The life of KEKs: the retirement gate and every change that an operator asks for. */
  readonly keks: VaultKeks

  /** The places outside of the store where envelopes are kept: the retirement gate asks them, and rotations re-wrap some. */
  readonly sources: VaultSources

  /**
   * Makes the keyring document anew from what the records say, after it was lost: every KEK that a record names is bound again,
   * one of them or another becomes current. Reads all headers. Tombstones of retired KEKs are lost for good.
   *
   * Stop what was running before the loss: a write that an instance had begun then may take effect.
   *
   * @throws LifecycleError `ERR_ADOPTION_REFUSED` with every reason, also where nothing is lost; `ERR_AUDIT_UNAVAILABLE`.
   */
  adopt(options?: AdoptOptions): Promise<KekCommandResult>

  /**
   * Says that the store as it is now is the one to go on with, after a restore or failover: every fence is made anew above every
   * epoch that is known. Rotate afterwards, and let the gate count again.
   */
  confirmStore(options?: ConfirmStoreOptions): Promise<KekCommandResult>

  /**
   * Reads the audit trail of this keyring domain, newest first.
   *
   * @throws TypeError when the vault was opened with an audit sink of your own: read it there.
   */
  auditEvents(options?: AuditEventsOptions): Promise<AuditPage>

  /**
   * Stops the rotation after the batch that is running, waits for calls in flight and says goodbye to the fleet. The
   * store's client stays open. May be called again. No timer of the vault keeps a process alive: a program that has
   * nothing else to do while it waits for this should hold one.
   */
  close(): Promise<void>
}
