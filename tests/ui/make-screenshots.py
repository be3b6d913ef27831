# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the README: the real window, the real model, driven through accessibility.

    tests/support/gui-env /usr/bin/python3 tests/ui/make-screenshots.py PROGRAM [FOLDER]

Needs the starter model, xdotool, ImageMagick, fonts-cantarell and fonts-noto-cjk. Sampling is greedy, so
the same program makes the same answers. Each picture is of a start of its own, in a home of its own.
"""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import atspi
import documents

SETTINGS = """[chat]
sampling={"greedy": true, "max_tokens": %d}
[window]
width=%d
height=%d
"""
GTK = """[Settings]
gtk-font-name=Cantarell 11
gtk-application-prefer-dark-theme=false
gtk-decoration-layout=:close
gtk-cursor-blink=false
gtk-enable-animations=false
"""
WORDS = {  # accessible names, by language
    "en": {"question": "Question", "send": "Send", "speed": " tok/s", "new": "New conversation"},
    "zh_CN": {"question": "问题", "send": "发送", "speed": " 词元/秒", "new": "新对话"},
}
STARTER = "SmolLM2-135M-Instruct-Q4_1.gguf"
EARLIER = ["What is the capital of France?", "Explain in simple words why the sky is blue.",
           "Write two sentences about tea."]
LAST = ["Write a Python function that adds two numbers.",
        "Make a list of five things to pack for a weekend in the mountains."]


class Session:
    def __init__(self, program, home, language="en", dark=False, size=(1000, 720), max_tokens=220, files=()):
        config = os.path.join(home, "config")
        os.makedirs(os.path.join(config, "inglenook"), exist_ok=True)
        os.makedirs(os.path.join(config, "gtk-4.0"), exist_ok=True)
        with open(os.path.join(config, "inglenook", "settings.ini"), "w", encoding="utf-8") as out:
            out.write(SETTINGS % (max_tokens, size[0], size[1]))
        with open(os.path.join(config, "gtk-4.0", "settings.ini"), "w", encoding="utf-8") as out:
            out.write(GTK)
        self.words = WORDS[language]
        environment = {"XDG_CONFIG_HOME": config, "XDG_DATA_HOME": os.path.join(home, "data"),
                       "G_DEBUG": "fatal-warnings", "TZ": "UTC"}
        if language != "en":
            # Works where that locale is not installed, too; only numbers stay as in C.
            environment.update(LC_ALL="C.UTF-8", LANGUAGE=language)
        if dark:
            environment["ADW_DEBUG_COLOR_SCHEME"] = "prefer-dark"
        self.app = atspi.Program([program, *files], environment)

    def button(self, name, timeout=60):
        return atspi.find(self.app.root, "push button", self.words[name], timeout=timeout)

    def ask(self, question):
        atspi.set_text(atspi.find(self.app.root, "text", self.words["question"]), question)
        atspi.press(self.app.root, self.words["send"], timeout=60)

    def ask_and_wait(self, question):
        """A short answer may end before its stop button is seen: its speed is what tells that it came."""
        self.ask(question)
        atspi.find(self.app.root, "label", lambda name: self.words["speed"] in name, timeout=60)
        time.sleep(0.5)
        self.button("send", 60)

    def picture(self, path):
        """Without the margin that stands for the shadow where there is no compositor."""
        time.sleep(0.7)
        window = atspi.window_of(self.app.pid)
        subprocess.run(["import", "-window", window, path], check=True)
        subprocess.run(["convert", path, "-shave", "5x5", "+repage", "-strip", path], check=True)
        print(path, flush=True)

    def close(self):
        assert self.app.close() == 0


def conversation(program, path, **options):
    with tempfile.TemporaryDirectory() as home:
        session = Session(program, home, **options)
        for question in EARLIER:
            session.ask_and_wait(question)
            atspi.click(session.button("new"))
            time.sleep(0.5)  # GTK presses a button for a quarter of a second
        for question in LAST:
            session.ask_and_wait(question)
        session.picture(path)
        session.close()


def lease(path):
    texts = (("Lease of the harbour flat", "The flat at 12 Harbour Street is let to Ada Berg from the first of May.",
              "It has three rooms, a kitchen and a cellar."),
             ("Rent", "The rent is 740 euros and is due on the third day of each month.",
              "Heating and water are paid with the rent."),
             ("Pets", "A cat may live in the flat. A dog needs the written consent of the owner."))
    pages = [[(20, 72, 760, title)] + [(12, 72, 720 - 18 * i, line) for i, line in enumerate(lines)]
             for title, *lines in texts]
    with open(path, "wb") as out:
        out.write(documents.pdf(pages))


def about_documents(program, path, page_path, **options):
    with tempfile.TemporaryDirectory() as home:
        file = os.path.join(home, "lease.pdf")
        lease(file)
        session = Session(program, home, max_tokens=19, files=(file,), **options)
        atspi.find(session.app.root, name="lease.pdf, 3 pages", timeout=30)
        session.ask_and_wait("When is the rent of the harbour flat due?")
        session.picture(path)
        atspi.click(atspi.find(session.app.root, "push button", lambda name: name.startswith("[2]")))
        atspi.find(session.app.root, name=lambda name: "highlighted" in name, timeout=30)
        time.sleep(0.7)
        window = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^lease.pdf$"], capture_output=True,
                                text=True, check=True).stdout.split()[-1]
        subprocess.run(["import", "-window", window, page_path], check=True)
        subprocess.run(["convert", page_path, "-shave", "5x5", "+repage", "-strip", page_path], check=True)
        session.close()


def first_start(program, path, **options):
    with tempfile.TemporaryDirectory() as home:
        session = Session(program, home, **options)
        time.sleep(1.5)
        session.picture(path)
        session.close()


def main():
    program = sys.argv[1]
    if not os.path.exists(os.path.join(os.environ.get("INGLENOOK_MODELS", ""), STARTER)):
        print("no starter model")
        sys.exit(77)
    fonts = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True, check=False).stdout
    for font in ("Cantarell", "Noto Sans CJK SC"):
        if font not in fonts:
            print("the font %s is not installed (fonts-cantarell, fonts-noto-cjk)" % font)
            sys.exit(77)
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join("data", "screenshots")
    os.makedirs(folder, exist_ok=True)

    def at(name):
        return os.path.join(folder, name)

    conversation(program, at("conversation.png"))
    conversation(program, at("conversation-dark.png"), dark=True)
    conversation(program, at("conversation-zh_CN.png"), language="zh_CN")
    conversation(program, at("narrow.png"), size=(360, 720))
    about_documents(program, at("documents.png"), at("documents-page.png"))
    first_start(program, at("first-start.png"))
    first_start(program, at("first-start-dark.png"), dark=True)


main()
