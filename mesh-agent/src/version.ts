/** The version of this package, for `mesh-agent --version` and the skill that it installs. */
import manifest from '../package.json' with { type: 'json' }

/** E.g. `0.1.0`. package.json is beside `src`, in the checkout and in the published package. */
export const VERSION: string = manifest.version
