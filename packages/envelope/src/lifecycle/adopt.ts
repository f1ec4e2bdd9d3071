import { LifecycleError } from '../errors.ts'
import { parseWrap } from '../format/envelope-v2.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import type { CallOptions, Page, SecretHeader, SecretStore } from '../store/secret-store.ts'
import type { BoundKek } from './keyring-changes.ts'

/** What the records of a store say of the KEKs they are under. */
export interface RecordSurvey {
  /** KEK id to fingerprint and suite, each with the records under it. */
  readonly keks: ReadonlyMap<string, BoundKek & { readonly records: number }>
  /** Ids that wrap texts carry with more than one fingerprint or suite. */
  readonly contradictory: readonly string[]
  /** Records whose wrap text cannot be read. */
  readonly damaged: number
}

/** Reads all headers of a store; memory grows with the number of KEKs only. */
export async function surveyRecords(store: SecretStore, next: () => CallOptions): Promise<RecordSurvey> {
  const keks = new Map<string, BoundKek & { records: number }>()
  const contradictory = new Set<string>()
  let damaged = 0
  let cursor: string | null = null
  do {
    const page: Page<SecretHeader> = await store.scan({ cursor, limit: 1_000 }, next())
    for (const { wrap } of page.items) {
      const fields = parseWrap(wrap, null)
      if ('fault' in fields) {
        damaged += 1
        continue
      }
      const { kekId: id, fingerprint, suite } = fields
      const known = keks.get(id)
      if (known === undefined) keks.set(id, { id, fingerprint, suite, records: 1 })
      else if (known.fingerprint === fingerprint && known.suite === suite) known.records += 1
      else contradictory.add(id)
    }
    cursor = page.next
  } while (cursor !== null)
  return { keks, contradictory: [...contradictory].sort(), damaged }
}

/**
 * Decides which KEK is current and which others are bound when the keyring document is made anew from the records.
 *
 * @param currentKekId - The KEK to be current.
 * @param isHeld - What this instance holds, and which of it may wrap.
 * @throws LifecycleError `ERR_ADOPTION_REFUSED` with every reason.
 */
export function chooseAdopted(
  survey: RecordSurvey,
  currentKekId: string,
  { keyring, mayWrap }: { readonly keyring: KeyringReader; readonly mayWrap: (kekId: string) => boolean },
): { readonly current: BoundKek; readonly others: readonly BoundKek[] } {
  const reasons = survey.contradictory.map(
    (id) =>
      `Secrets are under two different KEKs of the id "${id}". One of the two was put in place by hand or by another ` +
      'installation: take its records out of this store.',
  )
  const current = keyring.get(currentKekId)
  if (current === undefined)
    reasons.push(
      `KEK "${currentKekId}" is not loaded here, so it cannot be current. Add it to the key source.`,
    )
  else if (!mayWrap(currentKekId))
    reasons.push(`KEK "${currentKekId}" may only unwrap here, so it cannot be current. Name another one.`)
  for (const { id, fingerprint, suite } of survey.keks.values()) {
    const held = keyring.get(id)
    if (held !== undefined && (held.fingerprint !== fingerprint || held.suite !== suite)) {
      reasons.push(
        `Secrets are under KEK "${id}" with fingerprint ${fingerprint}, and this instance holds other bytes under that id ` +
          `(fingerprint ${held.fingerprint}). Give it the bytes they were written with.`,
      )
    }
  }
  if (current === undefined || reasons.length > 0) {
    throw new LifecycleError(
      'ERR_ADOPTION_REFUSED',
      `The keyring state cannot be made anew from these records: ${reasons.join(' ')} Nothing was changed.`,
      { reasons },
    )
  }
  const others = [...survey.keks.values()].filter(({ id }) => id !== currentKekId)
  return { current, others }
}
