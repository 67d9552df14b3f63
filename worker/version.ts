import packageJson from "../package.json" with { type: "json" };

/** The version that workers report. */
export const SOFTWARE_VERSION: string = packageJson.version;
