/** The beginning: styles with the nonce of this answer, who is signed in, and the pages, each loaded when it is opened. */

import createCache from "@emotion/cache";
import { CacheProvider } from "@emotion/react";
import { ThemeProvider } from "@mui/material/styles";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, StrictMode, useMemo } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter, RouterProvider } from "react-router";

import "./app.css";
import { followSession } from "./api/live";
import { queryClient } from "./api/queries";
import { session, start } from "./api/session";
import { useStore } from "./api/store";
import { useThemeName } from "./charts/theme";
import { Missing } from "./ui/Missing";
import { Shell } from "./ui/Shell";
import { SignIn } from "./ui/SignIn";
import { muiTheme } from "./ui/theme";

/** Where the server answers with this page, whatever follows. */
const PREFIX = "/ui";
if (!location.pathname.startsWith(PREFIX)) history.replaceState(null, "", `${PREFIX}/${location.search}${location.hash}`);

const page = (load: Parameters<typeof lazy>[0]) => { const Page = lazy(load); return <Page />; };

function Root() {
  const now = useStore(session);
  if (now.state === "starting") return <main className="sign-in" aria-busy="true"><h1 className="sr">Millrace</h1></main>;
  if (now.state === "signed-out") return <SignIn reason={now.reason} />;
  return <Shell me={now.me} />;
}

const router = createBrowserRouter(
  [{
    element: <Root />,
    errorElement: <Missing />,
    children: [
      { index: true, element: page(() => import("./pages/Overview")) },
      { path: "alerts", element: page(() => import("./pages/Alerts")) },
      { path: "latency", element: page(() => import("./pages/Latency")) },
      { path: "heatmap", element: page(() => import("./pages/HeatmapPage")) },
      { path: "waterfall", element: page(() => import("./pages/Waterfall")) },
      { path: "shards", element: page(() => import("./pages/Shards")) },
      { path: "queues", element: page(() => import("./pages/Queues")) },
      { path: "kafka", element: page(() => import("./pages/Kafka")) },
      { path: "types", element: page(() => import("./pages/Types")) },
      { path: "tail", element: page(() => import("./pages/Tail")) },
      { path: "rejected", element: page(() => import("./pages/Rejected")) },
      { path: "pipelines", element: page(() => import("./pages/Pipelines")) },
      { path: "topics", element: page(() => import("./pages/Topics")) },
      { path: "config", element: page(() => import("./pages/Config")) },
      { path: "access", element: page(() => import("./pages/Access")) },
      { path: "compare", element: page(() => import("./pages/Compare")) },
      { path: "help", element: page(() => import("./pages/Help")) },
      { path: "*", element: <Missing /> },
    ],
  }],
  { basename: PREFIX },
);

// Styles that are made at run time carry the nonce, or the policy refuses them.
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce;
const cache = createCache({ key: "mui", prepend: true, ...(nonce === undefined || nonce === "" ? {} : { nonce }) });

function App() {
  const name = useThemeName();
  const theme = useMemo(() => muiTheme(name), [name]);
  return (
    <CacheProvider value={cache}>
      <ThemeProvider theme={theme}>
        <QueryClientProvider client={queryClient}><RouterProvider router={router} /></QueryClientProvider>
      </ThemeProvider>
    </CacheProvider>
  );
}

followSession();
// What one has read is not shown to the next who signs in.
session.subscribe(() => { if (session.get().state === "signed-out") queryClient.clear(); });
void start();
const root = document.getElementById("root");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
