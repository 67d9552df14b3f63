import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

/** Which folder may import which. The deployables meet in contracts/ and nowhere else. */
const fences = [
  {
    files: ["contracts/**"],
    folders: ["functions", "worker", "local", "portal", "bench", "test", "scripts"],
    because: "contracts/ depends on nothing of ours",
  },
  {
    files: ["functions/**"],
    folders: ["worker", "local", "portal", "bench", "test", "scripts"],
    because: "functions/ and worker/ talk through contracts/",
  },
  {
    files: ["worker/**"],
    folders: ["functions", "local", "portal", "bench", "test", "scripts"],
    because: "functions/ and worker/ talk through contracts/",
  },
  {
    files: ["portal/**"],
    folders: ["functions", "worker", "local", "bench", "test", "scripts"],
    because: "portal/ takes types from contracts/ and talks to the REST API",
  },
  { files: ["local/**"], folders: ["test", "bench"], because: "what users run does not lean on tests" },
];

const fenceRules = fences.map(({ files, folders, because }) => ({
  files,
  rules: {
    "no-restricted-imports": ["error", { patterns: folders.map((folder) => ({ regex: `^(\\.\\./)+${folder}(/|$)`, message: because })) }],
  },
}));

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "coverage/", ".pgdms/", "**/*.d.ts"] },
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] }, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "no-console": "error",
      eqeqeq: "error",
    },
  },
  // Programs that a person starts in a terminal speak to that person.
  { files: ["local/**", "scripts/**", "bench/**", "test/**", "docs/**"], rules: { "no-console": "off" } },
  // A browser fetches every module that is imported, if only for a type: contracts/ would bring its parser along.
  { files: ["portal/**"], rules: { "@typescript-eslint/no-import-type-side-effects": "error" } },
  ...fenceRules,
  { files: ["eslint.config.js"], ...tseslint.configs.disableTypeChecked },
);
