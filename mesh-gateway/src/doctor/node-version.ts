/** Checks the version of Node. */
import { type CheckResult, result } from './finding.ts'

/** The same as `engines` of package.json; a test compares. */
export const LEAST_NODE = '24.16'

/** @param version in the form of process.version: `v24.21.0` */
export function checkNode(version: string): CheckResult {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  const [leastMajor = 0, leastMinor = 0] = LEAST_NODE.split('.').map(Number)
  const good = major > leastMajor || (major === leastMajor && minor >= leastMinor)
  return result(
    'node',
    version,
    good
      ? null
      : {
          what: `this is Node ${version}; ${LEAST_NODE} is the least`,
          why: 'older ones lack what the gateway is built on, and fail in ways nobody has looked into',
          todo: `npm install --global node@${leastMajor}`,
        },
  )
}
