"""``python -m trainer_host`` is the command ``trainer``."""

from trainer_host.cli.main import main

if __name__ == "__main__":
    main()
