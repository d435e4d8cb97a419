/** A workplace with an identity from a CA of its own, so that the gateway starts in it. */
import { join } from 'node:path'
import { writeIdentity } from '@clawmesh/pki'
import { makeTestCa } from '../../support/test-ca.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

export interface IssuedWorkplace extends Workplace {
  /** A new certificate for the gateway, into a directory of the workplace. */
  issue(dir: string): Promise<void>
}

/** @param main as of makeWorkplace */
export async function makeIssuedWorkplace(main?: string): Promise<IssuedWorkplace> {
  const place = await makeWorkplace(main)
  const ca = await makeTestCa()
  const issue = (dir: string) =>
    writeIdentity(join(place.dir, dir), ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] }))
  await issue('identity')
  return {
    ...place,
    issue,
    async close() {
      await place.close()
      await ca.close()
    },
  }
}
