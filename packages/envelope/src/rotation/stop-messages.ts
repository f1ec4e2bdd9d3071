/**
 * Says that secrets are under KEKs that nobody holds.
 *
 * @param kekIds - The KEKs.
 * @returns What an operator should do.
 */
export function missing(kekIds: readonly string[]): string {
  const ids = kekIds.map((id) => `"${id}"`).join(', ')
  return (
    `There are secrets under ${ids}, and no live instance holds that KEK with the bound bytes. Add it back to the key ` +
    'source, restart, and start the rotation again; nothing was lost.'
  )
}

/**
 * Says that an instance has left its work to others, which hold what it lacks.
 *
 * @param kekIds - The KEKs that it lacks.
 * @returns What an operator should do if nobody gets on.
 */
export function leftToOthers(kekIds: readonly string[]): string {
  const ids = kekIds.map((id) => `"${id}"`).join(', ')
  return (
    `There are secrets under ${ids}, which an instance lacks that was to re-wrap them, and others hold. If the rotation does not ` +
    'get on, let one instance hold every KEK that is in use.'
  )
}

/**
 * Says that another KEK has become current since the operation began.
 *
 * @param targetKekId - The KEK it went towards.
 * @param current - The KEK that is current.
 * @returns What an operator should do.
 */
export function superseded(targetKekId: string, current: string): string {
  return `KEK "${targetKekId}" is no longer current, "${current}" is. Start the rotation again to go towards it.`
}

/**
 * Says that nobody wants the target any more.
 *
 * @param targetKekId - The KEK the operation waited for.
 * @returns What an operator should do.
 */
export function unwished(targetKekId: string): string {
  return `No live instance wishes KEK "${targetKekId}" any more. Start the rotation again to go towards the current KEK.`
}

/**
 * Says that pass after pass found the same and could not move it.
 *
 * @param passes - How many.
 * @param sources - Where: declared sources; empty for the store.
 * @returns What an operator should do.
 */
export function fruitless(passes: number, sources: readonly string[]): string {
  const where =
    sources.length === 0
      ? 'the store'
      : `the declared source ${sources.map((name) => `"${name}"`).join(', ')}`
  return (
    `${passes} passes in a row found stale records in ${where} and could re-wrap none of them. See that its rewrap exchanges ` +
    'what its scan shows, and that nobody goes on writing under a former KEK there; then retry the rotation.'
  )
}

/**
 * Says that an operation has done all it could.
 *
 * @param failed - Records that it could not re-wrap; more than 0.
 * @returns What an operator should do.
 */
export function notRewrapped(failed: number, isDryRun: boolean): string {
  const many = failed === 1 ? '1 secret' : `${failed} secrets`
  return isDryRun
    ? `${many} could not be opened; nothing was written. Their names and reasons are listed. Restore, replace or delete ` +
        'them, then try again.'
    : `${many} could not be re-wrapped and stayed under the former KEK; all others were. Their names and reasons are ` +
        'listed. Restore or delete them, then retry the rotation or start another.'
}
