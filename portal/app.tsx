import { FluentProvider, makeStyles, tokens } from "@fluentui/react-components";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { createApiClient } from "./api/client.ts";
import { AppContext, type AppState } from "./app-context.ts";
import { openSession, type SessionState } from "./auth/session.ts";
import { apiUrl, readConfig, type PortalConfig } from "./config.ts";
import { Pages } from "./pages.tsx";
import { storedScope, storeScope } from "./scope.ts";
import { ErrorBoundary } from "./shell/error-boundary.tsx";
import { Header } from "./shell/header.tsx";
import { FatalError, SignedOut, Starting } from "./shell/states.tsx";
import { darkQuery, isDarkTheme, storeAppearance, storedAppearance, themeOf } from "./theme.ts";

const useStyles = makeStyles({
  root: {
    minHeight: "100vh",
    display: "flex",
    flexDirection: "column",
    backgroundColor: tokens.colorNeutralBackground2,
    "@media print": { backgroundColor: "#fff" },
  },
});

interface Opened {
  readonly config: PortalConfig;
  readonly state: SessionState;
}

async function open(): Promise<Opened> {
  const config = await readConfig();
  return { config, state: await openSession(config) };
}

const subscribeToDark = (changed: () => void): (() => void) => {
  const query = matchMedia(darkQuery);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
};

/** The page: theme around it, then whoever it is for, then the screens. */
export function App() {
  const styles = useStyles();
  const [appearance, setAppearance] = useState(storedAppearance);
  const systemIsDark = useSyncExternalStore(subscribeToDark, () => matchMedia(darkQuery).matches);
  const theme = themeOf(appearance, systemIsDark);
  useEffect(() => {
    document.documentElement.style.colorScheme = isDarkTheme(theme) ? "dark" : "light";
  }, [theme]);
  const choose: AppState["setAppearance"] = (choice) => {
    storeAppearance(choice);
    setAppearance(choice);
  };
  return (
    // The layout stands on an element of its own: what the provider wears, every dialog wears as well.
    <FluentProvider theme={theme}>
      <div className={styles.root}>
        <ErrorBoundary>
          <Opening appearance={appearance} setAppearance={choose} />
        </ErrorBoundary>
      </div>
    </FluentProvider>
  );
}

function Opening(props: Pick<AppState, "appearance" | "setAppearance">) {
  const [opened, setOpened] = useState<Opened>();
  const [problem, setProblem] = useState<unknown>();
  useEffect(() => {
    open().then(setOpened, setProblem);
  }, []);
  if (problem !== undefined) return <FatalError problem={problem} />;
  if (!opened) return <Starting />;
  if (opened.state.kind === "signedOut") return <SignedOut state={opened.state} />;
  return <SignedIn config={opened.config} session={opened.state.session} {...props} />;
}

function SignedIn({ config, session, appearance, setAppearance }: Omit<AppState, "api" | "scope" | "setScope">) {
  const [scope, setScope] = useState(() => storedScope(config));
  const api = useMemo(() => createApiClient(apiUrl(), session), [session]);
  const app = useMemo<AppState>(() => {
    const chooseScope: AppState["setScope"] = (chosen) => {
      storeScope(chosen);
      setScope(chosen);
    };
    return { api, session, config, scope, setScope: chooseScope, appearance, setAppearance };
  }, [api, session, config, scope, appearance, setAppearance]);
  return (
    <AppContext value={app}>
      <Header />
      <Pages />
    </AppContext>
  );
}
