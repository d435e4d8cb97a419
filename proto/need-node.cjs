/**
 * Says which version of Node a command needs, before anything is loaded that an older one cannot read. This file is written
 * so that every version can.
 */
'use strict'

/**
 * @param {string} command said first
 * @param {string} range of package.json, e.g. `>=24.16`
 * @returns {boolean} true where this Node will do; else it is said on stderr, and the exit code is 1
 */
module.exports = function needNode(command, range) {
  const least = range.replace('>=', '')
  const [major, minor] = least.split('.').map(Number)
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number)
  if (ownMajor > major || (ownMajor === major && ownMinor >= minor)) return true
  process.stderr.write(
    `${command}: needs Node ${least} or later, this is ${process.versions.node}\n` +
      `${command}: hint: npm install node@${major} brings one for a project, nodejs.org has it for a machine\n`,
  )
  process.exitCode = 1
  return false
}
