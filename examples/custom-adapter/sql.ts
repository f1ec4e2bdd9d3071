/** A piece of SQL that is safe to send: made by {@link sql} alone. */
export class Sql {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/**
 * Writes SQL. Bytes and texts become hexadecimal literals, so that neither the caller's `queryFormat`, nor the
 * connection's character set, nor `NO_BACKSLASH_ESCAPES` has a say in what reaches the server.
 */
export function sql(
  parts: TemplateStringsArray,
  ...values: readonly (Sql | Uint8Array | string | number)[]
): Sql {
  return new Sql(
    parts.map((part, index) => (index === 0 ? part : literal(values[index - 1]) + part)).join(''),
  )
}

/** Puts pieces one after another. */
export function joined(pieces: readonly Sql[], separator = ', '): Sql {
  return new Sql(pieces.map(({ text }) => text).join(separator))
}

/** A list of values in parentheses, as `IN` takes it. */
export function list(values: readonly (Uint8Array | string)[]): Sql {
  return sql`(${joined(values.map((value) => sql`${value}`))})`
}

function literal(value: Sql | Uint8Array | string | number | undefined): string {
  if (value instanceof Sql) return value.text
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError('a number in SQL must be a safe integer')
    return String(value)
  }
  if (value === undefined) throw new TypeError('a value in SQL is missing')
  const bytes =
    typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.length)
  return `X'${bytes.toString('hex')}'`
}
