import { generateKek } from '@talos/envelope'

/** KEKs as an operator holds them: id, and the text that `generateKek()` made. */
export type Keks = Readonly<Record<string, string>>

/** Generates one KEK for each id. */
export function generateKeks<Id extends string>(...ids: readonly Id[]): Readonly<Record<Id, string>> {
  return Object.fromEntries(ids.map((id) => [id, generateKek()])) as Record<Id, string>
}

/** The variables that `environmentKeys()` reads. */
export function keyEnvironment(keks: Keks, currentKekId: string): Readonly<Record<string, string>> {
  const variables = Object.entries(keks).map(([id, text]) => [`TALOS_KEK_${id}`, text] as const)
  return { ...Object.fromEntries(variables), TALOS_CURRENT_KEK_ID: currentKekId }
}

export function kekBytes(text: string): Buffer {
  return Buffer.from(text, 'base64url')
}
