/** Reads the file of lists of revoked certificates, and parses it when it may say something new. */
import type { Disk, Found, IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { createReader, type FileReading } from '../files/read-changed.ts'
import { type CrlSet, EarlyCrlError, MAX_CRL_FILE_BYTES, readCrls } from './crl-file.ts'

export interface CrlReaderOptions {
  /** PEM or DER. */
  readonly path: string
  readonly disk: Disk
  readonly identity: Pick<IdentityStore, 'current'>
  /** The lists that hold now. */
  readonly inUse: () => CrlSet
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** A refused file is parsed again only when it or the bundle has changed or its time has come, not at every poll. */
export function createCrlReader(options: CrlReaderOptions): () => Promise<Found<CrlSet>> {
  const { path, disk, identity, inUse, now } = options
  const read = createReader(path, { maxBytes: MAX_CRL_FILE_BYTES, disk })
  let refused: { reading: FileReading; generation: number; error: unknown } | null = null
  const isWorthAnotherLook = (error: unknown) =>
    error instanceof EarlyCrlError && now() >= error.fromMs
  return async () => {
    const reading = await read()
    const { bytes } = reading
    return {
      digest: reading.digest,
      parse() {
        const snapshot = identity.current()
        const { generation } = snapshot
        const same = refused?.reading === reading && refused.generation === generation
        if (refused !== null && same && !isWorthAnotherLook(refused.error)) throw refused.error
        try {
          return readCrls(bytes, snapshot, inUse(), now())
        } catch (error) {
          refused = { reading, generation, error }
          throw error
        }
      },
    }
  }
}
