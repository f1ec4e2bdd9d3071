import vectors from '../../vectors/talos-v1.json' with { type: 'json' }

interface Opening {
  readonly id: string
  readonly envelope: string
  readonly given: { readonly kek_id: string; readonly key_b64u: string; readonly aad_utf8: string }
  readonly value_b64u: string
}

/** One envelope of the vectors, with what opens it. */
export interface Sample {
  readonly envelope: string
  readonly kekId: string
  readonly key: Uint8Array
  readonly aad: string
  readonly value: string
}

function sample(wanted: string): Sample {
  const opening = (vectors.open as unknown as readonly Opening[]).find(({ id }) => id === wanted)
  if (opening === undefined) throw new Error(`The vectors hold no "${wanted}".`)
  return {
    envelope: opening.envelope,
    kekId: opening.given.kek_id,
    key: new Uint8Array(Buffer.from(opening.given.key_b64u, 'base64url')),
    aad: opening.given.aad_utf8,
    value: Buffer.from(opening.value_b64u, 'base64url').toString(),
  }
}

/** The published envelope. It carries its AAD, and its key is 32 equal bytes of printable ASCII. */
export const PUBLISHED: Sample = sample('published')
/** The same value without an AAD in the envelope. */
export const WITHOUT_AAD: Sample = sample('without-aad')
/** The same value in the hexadecimal shape. */
export const HEX: Sample = sample('hex')
/** An envelope under a strong key, in the base64url shape, with the secret's name as AAD. */
export const OLDER: Sample = sample('older')

export function membersOf(envelope: string): Record<string, string> {
  return JSON.parse(envelope) as Record<string, string>
}

/** An envelope with other members in place of its own. */
export function withMembers(envelope: string, members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...membersOf(envelope), ...members })
}
