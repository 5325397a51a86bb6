/** The theme of the controls. Colours are those of app.css: one place for both. */

import { createTheme } from "@mui/material/styles";

export type ThemeChoice = "system" | "light" | "dark" | "contrast";

/** The key that the script in index.html reads before the first paint. */
const KEY = "millrace.theme";

/** What was chosen before. */
export function themeChoice(): ThemeChoice {
  let kept: string | null = null;
  try { kept = localStorage.getItem(KEY); } catch { /* nothing is kept */ }
  return kept === "light" || kept === "dark" || kept === "contrast" ? kept : "system";
}

/** Puts a theme on. */
export function applyTheme(choice: ThemeChoice): void {
  try {
    if (choice === "system") localStorage.removeItem(KEY); else localStorage.setItem(KEY, choice);
  } catch { /* it holds until the page is left */ }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const contrast = matchMedia("(prefers-contrast: more)").matches;
  document.documentElement.dataset["theme"] = choice === "system" ? (contrast ? "contrast" : dark ? "dark" : "light") : choice;
}

const COLOURS = {
  light: { primary: "#0b5cad", on: "#ffffff", bad: "#b3261e", page: "#f4f6f8", panel: "#ffffff", text: "#16202b", muted: "#4f5b69", line: "#7f8b99" },
  dark: { primary: "#7ab8ff", on: "#0e1318", bad: "#ff8a80", page: "#0e1318", panel: "#161d25", text: "#e4eaf1", muted: "#a0acba", line: "#76828f" },
  contrast: { primary: "#8fd0ff", on: "#000000", bad: "#ff9d94", page: "#000000", panel: "#000000", text: "#ffffff", muted: "#e0e0e0", line: "#ffffff" },
} as const;

/** MUI's palette for a theme by name. */
export function muiTheme(name: string) {
  const key = name === "dark" || name === "contrast" ? name : "light";
  const colours = COLOURS[key];
  return createTheme({
    palette: {
      mode: key === "light" ? "light" : "dark",
      primary: { main: colours.primary, contrastText: colours.on },
      error: { main: colours.bad, contrastText: key === "light" ? "#ffffff" : "#0e1318" },
      background: { default: colours.page, paper: colours.panel },
      text: { primary: colours.text, secondary: colours.muted },
    },
    shape: { borderRadius: 6 },
    typography: { fontFamily: "inherit", fontSize: 13, button: { textTransform: "none", fontWeight: 600 } },
    components: {
      MuiButtonBase: { defaultProps: { disableRipple: true } },
      MuiButton: { defaultProps: { size: "small", disableElevation: true, variant: "outlined" }, styleOverrides: { root: { minHeight: 30, whiteSpace: "nowrap" } } },
      MuiTextField: { defaultProps: { size: "small", fullWidth: true } },
      MuiPaper: { styleOverrides: { root: { backgroundImage: "none" } } },
    },
  });
}
