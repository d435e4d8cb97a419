/** The entry point of the OpenClaw plugin `clawmesh`. */
export {}
