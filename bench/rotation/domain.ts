import { type PostgresLab, SecretsTable } from '../stores/postgres-lab.ts'
import { Rotations } from '../stores/rotations.ts'
import type { Instance } from './instance.ts'
import type { InstanceSettings } from './protocol.ts'

const VALUE_BYTES = 64
/** One reads and plans ahead while the other writes. */
const CONNECTIONS = 2

/** A keyring domain on PostgreSQL that is rotated again and again, by this process or by others. */
export class Domain {
  readonly rotations = new Rotations()
  readonly #lab: PostgresLab
  readonly #prefix: string
  readonly #table: SecretsTable

  private constructor(lab: PostgresLab, prefix: string) {
    this.#lab = lab
    this.#prefix = prefix
    this.#table = new SecretsTable(lab, prefix)
  }

  /** Makes a domain of so many secrets with values of 64 bytes. */
  static async fill(lab: PostgresLab, records: number): Promise<Domain> {
    const domain = new Domain(lab, `n${records}_`)
    await domain.store().migrate()
    await domain.rotations.fill(domain.store(), records, VALUE_BYTES)
    return domain
  }

  get records(): number {
    return this.rotations.records
  }

  store() {
    return this.#lab.store(this.#prefix, CONNECTIONS)
  }

  /** Leaves the same table to every rotation, and a new KEK that this process has promoted. */
  async prepareHere(): Promise<void> {
    await this.settle()
    await this.rotations.promoteNext(this.store())
  }

  /**
   * The same for rotations by other processes, the first of which promotes the KEK.
   *
   * @param crowd - Everybody who may have a vault open, which ends here: a KEK is promoted when all hold it.
   */
  async prepare(
    instances: readonly Instance[],
    crowd: readonly Instance[],
    runner: InstanceSettings['runner'] = 'own',
  ): Promise<void> {
    for (const instance of crowd) await instance.close()
    await this.settle()
    await this.rotations.nextKek()
    for (const instance of instances) await instance.open(this.settings(runner))
  }

  async settle(): Promise<void> {
    await this.rotations.close()
    await this.#table.settle()
    // What the rotation of a million has left unwritten is not for the next one to write.
    await this.#lab.run('CHECKPOINT')
  }

  settings(runner: InstanceSettings['runner']): InstanceSettings {
    const { keks, currentKekId } = this.rotations
    const texts = Object.entries(keks).map(([id, bytes]) => [id, Buffer.from(bytes).toString('base64url')])
    return {
      url: this.#lab.url,
      tablePrefix: this.#prefix,
      connections: CONNECTIONS,
      keks: Object.fromEntries(texts),
      currentKekId,
      runner,
    }
  }

  /**
   * Has instances rotate together.
   *
   * @throws Error when not every record was re-wrapped.
   */
  async rotateBy(instances: readonly Instance[]): Promise<void> {
    await Promise.all(instances.map((instance) => instance.rotate()))
    const { status, rewrapped } = await Promise.race(instances.map(({ ended }) => ended))
    if (status !== 'completed' || rewrapped !== this.records)
      throw new Error(`The rotation ended as ${status} with ${rewrapped} records of ${this.records}.`)
  }
}
