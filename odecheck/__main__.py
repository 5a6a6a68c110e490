"""`python -m odecheck`: the command line, by the interpreter that is typed."""

from odecheck.commands.cli import main

if __name__ == "__main__":
    main()
