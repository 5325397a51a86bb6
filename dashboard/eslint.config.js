// What the compiler cannot see. Sizes as for the rest of the project; who may fetch; nothing that draws HTML from text.
import hooks from "eslint-plugin-react-hooks";
import typescript from "typescript-eslint";

const noFetch = {
  "no-restricted-globals": ["error", { name: "fetch", message: "Only src/api fetches: add a function there." }],
};

export default typescript.config(
  { ignores: ["dist", "node_modules", "src/api/schema.d.ts"] },
  {
    files: ["src/**/*.{ts,tsx}"],
    extends: [typescript.configs.strictTypeChecked],
    plugins: { "react-hooks": hooks },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "max-lines": ["error", { max: 300, skipBlankLines: false }],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Text stays text." },
        { selector: "MemberExpression[property.name='innerHTML']", message: "Text stays text." },
        { selector: "MemberExpression[property.name=/^(toFixed|toLocaleString)$/]", message: "Numbers go through units.ts." },
      ],
      "no-console": "error",
      eqeqeq: ["error", "always", { null: "ignore" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  { files: ["src/{pages,charts,ui}/**/*.{ts,tsx}", "src/*.{ts,tsx}"], rules: noFetch },
  {
    files: ["src/charts/**/*.{ts,tsx}"],
    rules: {
      "no-restricted-imports": ["error", { patterns: [{ group: ["**/api/*", "**/pages/*"], message: "Charts know no API." }] }],
    },
  },
  { files: ["src/units.ts", "src/charts/svg.ts"], rules: { "no-restricted-syntax": "off" } },
  { files: ["src/**/*.test.{ts,tsx}"], rules: { "@typescript-eslint/no-non-null-assertion": "off", "max-lines": "off" } },
);
