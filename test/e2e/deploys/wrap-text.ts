/** The KEK that a wrap text `talos:v2:<kek_id>:<wrap>` names. */
export function kekIdOf(wrap: string): string {
  return wrap.split(':')[2] ?? ''
}

/** The fingerprint in it: 8 bytes behind the suite's 2, as 16 hexadecimal digits. */
export function fingerprintOf(wrap: string): string {
  return Buffer.from(wrap.split(':')[3] ?? '', 'base64url').toString('hex', 2, 10)
}
