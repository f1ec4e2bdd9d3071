import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Stands for the provider of models: answers every call and remembers the credential it came with. */
export class Upstream {
  readonly #server = createServer((request, response) => {
    this.#credential = request.headers.authorization?.replace(/^Bearer /, '') ?? null
    this.#calls += 1
    request.resume()
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({ object: 'chat.completion', choices: [{ message: { content: 'Hello.' } }] }),
      )
    })
  })
  #credential: string | null = null
  #calls = 0

  /** The credential of the last call. */
  get credential(): string | null {
    return this.#credential
  }

  get calls(): number {
    return this.#calls
  }

  /** Returns the address to be given to a gateway. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
