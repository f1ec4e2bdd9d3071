export const DEFAULT_PREFIX = 'talos'
const LONGEST_PREFIX = 100

/** The keys of a store, in the order in which its scripts take them. One hash tag puts all of them into one slot. */
const ROLES = ['store', 'names', 'wraps', 'metas', 'sealed', 'documents', 'keys'] as const

/**
 * Names the keys of a store.
 *
 * @throws TypeError for a prefix that could not be a hash tag.
 */
export function keysOf(prefix: string): readonly string[] {
  if (prefix.length < 1 || prefix.length > LONGEST_PREFIX || !/^[\x21-\x7a|~]+$/.test(prefix)) {
    throw new TypeError(`prefix: needs 1 to ${LONGEST_PREFIX} visible ASCII characters without braces`)
  }
  return ROLES.map((role) => `{${prefix}}:${role}`)
}
