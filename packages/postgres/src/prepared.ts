import { createHash } from 'node:crypto'

const NAMES = new Map<string, string>()

/** The name of a prepared statement, the same for the same text: `pg` refuses one name for two texts. */
export function prepared(text: string): string {
  let name = NAMES.get(text)
  if (name === undefined) {
    name = `talos_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
    NAMES.set(text, name)
  }
  return name
}
