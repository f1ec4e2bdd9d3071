/** What a client of the emulator needs beside an address: it asks for a signature, of anybody. */
export const LOCAL = {
  region: 'eu-central-1',
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
} as const
