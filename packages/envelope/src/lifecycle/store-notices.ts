import type { KeyringState } from './keyring-state.ts'

/**
 * What an operator should know of the store's past, in words: whether it has gone back, or may not be the data that KEKs were
 * fenced on. Nobody is less ready for it; the retirement gate refuses.
 *
 * @param incarnation - The store's, now.
 */
export function storeNotices(
  { snapshot, highestEpoch }: KeyringState,
  incarnation: string,
): readonly string[] {
  if (snapshot === null) return []
  const { epoch, keks } = snapshot.document
  const notices: string[] = []
  if (epoch < highestEpoch) {
    notices.push(
      `The keyring document is at epoch ${epoch}, and this instance has seen epoch ${highestEpoch}: the store was restored from ` +
        'a backup. See that this is the data to go on with, then run vault.confirmStore() and rotate.',
    )
  }
  if (snapshot.revision < epoch) {
    notices.push(
      `The keyring document was put back by hand, or made anew and not to the end: its revision is ${snapshot.revision} at epoch ` +
        `${epoch}. Run vault.confirmStore() and rotate.`,
    )
  }
  const fencedElsewhere = Object.entries(keks).filter(
    ([, { state, fence }]) => state !== 'retired' && fence !== null && fence.incarnation !== incarnation,
  )
  if (fencedElsewhere.length > 0) {
    const ids = fencedElsewhere.map(([id]) => `"${id}"`).join(', ')
    notices.push(
      `The store was restored or failed over since KEK ${ids} left use, and may have lost writes. See that this is the data to go ` +
        'on with, then run vault.confirmStore() and rotate.',
    )
  }
  for (const [id, { state, compromisedAt }] of Object.entries(keks)) {
    if (compromisedAt === null || state === 'retired') continue
    notices.push(
      `KEK "${id}" is marked compromised. Replace the credentials that were under it, then rotate with acknowledgeCompromised.`,
    )
  }
  return notices
}
