/** The version of this package, for `--version`, metrics, /health, the status page and the log. */
import manifest from '../package.json' with { type: 'json' }

/** E.g. `0.1.0`. package.json is beside `src`, in the checkout and in the published package. */
export const VERSION: string = manifest.version
