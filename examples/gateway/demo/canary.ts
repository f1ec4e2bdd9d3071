import { Buffer } from 'node:buffer'

/** Something that must never leave a gateway. The label is all that is ever printed of it. */
interface Canary {
  readonly label: string
  readonly bytes: Uint8Array
}

/**
 * Everything that gateways printed and answered, kept to be searched. One source is one stream of bytes, so that
 * a canary which two chunks share is found too.
 */
export class Evidence {
  readonly #sources = new Map<string, Buffer[]>()
  readonly #canaries: Canary[] = []

  /** From now on, this must not be found. */
  watch(label: string, bytes: Uint8Array): void {
    this.#canaries.push({ label, bytes: Uint8Array.from(bytes) })
  }

  get watched(): readonly string[] {
    return [...new Set(this.#canaries.map(({ label }) => label))]
  }

  add(source: string, chunk: Uint8Array | string): void {
    const chunks = this.#sources.get(source)
    const bytes = Buffer.from(chunk)
    if (chunks === undefined) this.#sources.set(source, [bytes])
    else chunks.push(bytes)
  }

  get byteLength(): number {
    let total = 0
    for (const chunks of this.#sources.values()) for (const chunk of chunks) total += chunk.byteLength
    return total
  }

  /** The sources that hold a text: a search that finds nothing proves nothing until it finds what is known to be there. */
  sourcesWith(text: string): readonly string[] {
    return this.#whole().flatMap(([source, bytes]) => (bytes.includes(text) ? [source] : []))
  }

  /** Looks for every canary in all that was added. Returns one line for each canary, form and source that met. */
  search(): readonly string[] {
    return this.#whole().flatMap(([source, bytes]) =>
      this.searchIn(bytes).map((found) => `${found} in ${source}`),
    )
  }

  /** Looks for every canary in something that was not added yet. */
  searchIn(chunk: Uint8Array | string): readonly string[] {
    const haystack = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
    return this.#canaries.flatMap(({ label, bytes }) =>
      [...forms(bytes)].flatMap(([form, needle]) =>
        haystack.includes(needle) ? [`${label} as ${form}`] : [],
      ),
    )
  }

  #whole(): readonly (readonly [source: string, bytes: Buffer])[] {
    return [...this.#sources].map(([source, chunks]) => [source, Buffer.concat(chunks)] as const)
  }
}

/** The ways in which bytes get into logs and answers. */
function forms(bytes: Uint8Array): ReadonlyMap<string, Buffer> {
  const buffer = Buffer.from(bytes)
  // Under 12 bytes the shortened base64 forms could occur by chance.
  if (buffer.byteLength < 12) throw new RangeError('a canary needs at least 12 bytes')
  const hex = buffer.toString('hex')
  const found = new Map<string, Buffer>([
    ['raw bytes', buffer],
    ['hex', Buffer.from(hex)],
    ['upper-case hex', Buffer.from(hex.toUpperCase())],
    ['spaced hex', Buffer.from(hex.replaceAll(/..(?!$)/g, '$& '))],
    ['decimal numbers', Buffer.from(buffer.join(','))],
  ])
  // Base64 of a longer text that holds these bytes depends on where they start, modulo three; the characters that
  // their neighbours have a share in are left out.
  for (const offset of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(offset), buffer])
    const first = Math.ceil((offset * 8) / 6)
    const end = Math.floor((shifted.byteLength * 8) / 6)
    found.set(`base64 (+${offset})`, Buffer.from(shifted.toString('base64').slice(first, end)))
    found.set(`base64url (+${offset})`, Buffer.from(shifted.toString('base64url').slice(first, end)))
  }
  return found
}
