import { isKekId } from '../format/envelope-v2.ts'

/** What the place a KEK was found in is called, around its id: `TALOS_KEK_` and, for the name of a file, `_FILE`. */
export interface Place {
  readonly before: string
  readonly after: string
}

/**
 * Names the place of a KEK.
 *
 * @param place - Where it was found.
 * @param id - Its id.
 * @returns Such as `TALOS_KEK_v1_FILE`.
 */
export function nameOfPlace({ before, after }: Place, id: string): string {
  return before + id + after
}

/**
 * Whether a text could be meant as an id, so that it can be shown. A KEK has 43 characters and never could.
 *
 * @param text - What stands where an id should.
 * @returns Whether it may be shown.
 */
export function hasShapeOfId(text: string): boolean {
  return isKekId(text.toLowerCase().replace(/_file$/, ''))
}

/**
 * Whether an id ends as the name of a variable with a path does.
 *
 * @param id - The id as written.
 * @returns Whether it is of no use as an id.
 */
export function isReserved(id: string): boolean {
  return id.toLowerCase().endsWith('_file')
}

/**
 * Finds what is wrong with the id of a KEK.
 *
 * @param id - The id as written.
 * @param place - Where it stands.
 * @param ids - All ids as written.
 * @returns The fault, or `null` for a legal id.
 */
export function faultOfId(id: string, place: Place, ids: ReadonlySet<string>): string | null {
  if (isKekId(id)) return null
  if (isReserved(id)) {
    return 'has an id that ends in _file: such ids are reserved. The name of a variable with a path ends in _FILE'
  }
  if (!hasShapeOfId(id)) {
    return (
      `has an id of ${id.length} characters that is no KEK id, so it is not shown: ` +
      'ids are 1 to 32 of a-z, 0-9, - and _ and begin with a letter or digit'
    )
  }
  const lowerCase = id.toLowerCase()
  const spelling = nameOfPlace(place, lowerCase)
  return ids.has(lowerCase)
    ? `has an id that differs from ${spelling} in case only: keep one of them, in lower case`
    : `has an upper-case id: spell it ${spelling}`
}

/**
 * Finds what is wrong with an id that something refers to.
 *
 * @param id - The id as written.
 * @param verb - What the place does with it.
 * @param isKnown - Whether there is such a KEK.
 * @returns The fault, or `null`.
 */
export function faultOfReference(
  id: string,
  verb: 'names' | 'lists',
  isKnown: (id: string) => boolean,
): string | null {
  if (id === '')
    return verb === 'names' ? 'is empty: name the id of the KEK to wrap under' : 'lists an empty id'
  if (id.trim() !== id) return `${verb} an id with white space around it: remove it`
  if (isKekId(id)) return isKnown(id) ? null : `${verb} ${id}, which is not among the configured KEKs`
  const lowerCase = id.toLowerCase()
  if (isKekId(lowerCase)) return `${verb} an upper-case id: spell it ${lowerCase}`
  return `${verb} a text of ${id.length} characters that is no KEK id, so it is not shown`
}
