/** What a record carries in clear beside its wrap text: never part of the value, never trusted by a reader. */
export interface RecordMeta {
  /** 1 for the first value of a name, one more with every value write. */
  readonly version: number
  /** The caller's pairs of the encryption context, so that a rewrap can check the commitment. */
  readonly context: Readonly<Record<string, string>>
  /** RFC 3339 UTC, as the other times. */
  readonly createdAt: string
  readonly updatedAt: string
  readonly rewrappedAt: string | null
}

export function serialiseMeta(meta: RecordMeta): string {
  return JSON.stringify(meta)
}

/** Reads metadata; `null` for a text this library did not write. */
export function parseMeta(text: string): RecordMeta | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { version, context, createdAt, updatedAt, rewrappedAt } = value as Record<string, unknown>
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) return null
  if (!isTime(createdAt) || !isTime(updatedAt) || !(rewrappedAt === null || isTime(rewrappedAt))) return null
  if (typeof context !== 'object' || context === null || Array.isArray(context)) return null
  if (Object.values(context).some((part) => typeof part !== 'string')) return null
  return { version, context: context as Record<string, string>, createdAt, updatedAt, rewrappedAt }
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 30
}
