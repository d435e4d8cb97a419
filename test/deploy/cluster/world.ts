/** What the tests of a cluster share. */
import type { TestCa } from '../../support/test-ca.ts'
import type { Cluster } from './cluster.ts'

export interface World {
  readonly cluster: Cluster
  readonly ca: TestCa
  /** Of the image of the gateway. */
  readonly digest: string
  /** Of a service account, good for ten minutes from the start. */
  readonly shortToken: string
}
